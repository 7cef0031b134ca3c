import { BPE } from "@huggingface/tokenizers";
import {
  badMetadata,
  checkLength,
  type GgufMetadata,
  readNumbers,
  readStrings,
} from "./gguf-fields.ts";
import { isSpaceRun, SPACE_MARK, TOKEN_TYPE, type Vocabulary } from "./gguf-vocabulary.ts";

type Merge = [left: string, right: string];

const MERGES = "tokenizer.ggml.merges";
const SCORES = "tokenizer.ggml.scores";

/** Byte-pair encoding of single words over a GGUF's vocabulary. Never yields a control token. */
export class BpeModel {
  readonly #bpe: BPE;
  readonly #ids = new Map<string, number>();
  readonly #unknown: number | undefined;

  /**
   * @throws bad_model_file if merges are missing, malformed or name unknown tokens, or if the
   *   scores that stand in for them are missing or of another length.
   */
  constructor(
    metadata: GgufMetadata,
    vocabulary: Vocabulary,
    options: { byteFallback: boolean; ignoreMerges: boolean },
  ) {
    const given = readStrings(metadata, MERGES);
    if (given === undefined && !options.byteFallback) throw badMetadata(MERGES, "is missing");
    vocabulary.tokens.forEach((token, id) => {
      if (!isText(vocabulary, id) && vocabulary.types[id] !== TOKEN_TYPE.byte) return;
      const spelling = isSpaceRun(vocabulary, id) ? SPACE_MARK.repeat(token.length) : token;
      this.#ids.set(spelling, id);
    });
    const merges =
      given === undefined
        ? deriveMerges(vocabulary, this.#ids, readScores(metadata, vocabulary))
        : parseMerges(given, vocabulary);
    // A private spelling: the file's own "<unk>" must not be reachable from text.
    const unknown = options.byteFallback ? vocabulary.unknown : undefined;
    this.#unknown = unknown;
    this.#bpe = new BPE({
      type: "BPE",
      vocab: {},
      merges,
      unk_token: unknown === undefined ? null : UNKNOWN,
      byte_fallback: options.byteFallback,
      ignore_merges: options.ignoreMerges,
    });
    // Given as an object it would be made a map of again: 80 ms of a load for 49,000 tokens.
    this.#bpe.tokens_to_ids = this.#ids;
  }

  /**
   * Ids of one word, in the vocabulary's own spelling. What no token can write becomes the unknown
   * token where the file has one (SentencePiece), and is dropped in byte-level vocabularies: the
   * reference does the same.
   */
  encode(word: string): number[] {
    const ids: number[] = [];
    for (const token of this.#bpe.encode([word])) {
      const id = token === UNKNOWN ? this.#unknown : this.#ids.get(token);
      if (id !== undefined) ids.push(id);
    }
    return ids;
  }
}

const UNKNOWN = "\uFDD0unknown";

/** May be made by merging: bytes and whole tokens may not. */
const isText = (vocabulary: Vocabulary, id: number): boolean => {
  const type = vocabulary.types[id];
  return type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.unknown && type !== TOKEN_TYPE.byte;
};

function parseMerges(lines: readonly string[], vocabulary: Vocabulary): Merge[] {
  const merges: Merge[] = [];
  lines.forEach((line, index) => {
    // A token may itself begin with a space, so the separator is sought after the first character.
    const space = line.indexOf(" ", 1);
    if (space === -1) throw badMetadata(MERGES, `entry ${index} "${line}" is not two tokens`);
    const left = line.slice(0, space);
    const right = line.slice(space + 1);
    for (const token of [left, right, left + right])
      if (!vocabulary.ids.has(token))
        throw badMetadata(MERGES, `entry ${index} "${line}" needs "${token}", which is no token`);
    if (isText(vocabulary, vocabulary.ids.get(left + right)!)) merges.push([left, right]);
  });
  return merges;
}

function readScores(metadata: GgufMetadata, vocabulary: Vocabulary): ArrayLike<number> {
  const scores = readNumbers(metadata, SCORES);
  if (scores === undefined) throw badMetadata(SCORES, "is missing, and so are merges");
  checkLength(SCORES, scores.length, vocabulary.tokens.length);
  for (let id = 0; id < scores.length; id++)
    if (Number.isNaN(scores[id])) throw badMetadata(SCORES, `token ${id} has no number`);
  return scores;
}

/**
 * SentencePiece merges the pair whose union has the best score. As a list of merges: every cut of
 * every token into two tokens, best score first; among equals the longer left part, as
 * `transformers` orders them (`generate_merges`). User-defined runs of spaces come before all else, short
 * ones first: their scores say nothing.
 */
function deriveMerges(
  vocabulary: Vocabulary,
  spellings: ReadonlyMap<string, number>,
  scores: ArrayLike<number>,
): Merge[] {
  const known = (token: string): boolean => {
    const id = spellings.get(token);
    return id !== undefined && isText(vocabulary, id);
  };
  const found: { merge: Merge; score: number; left: number; right: number }[] = [];
  spellings.forEach((id, token) => {
    if (!isText(vocabulary, id)) return;
    const chars = Array.from(token);
    const score = isSpaceRun(vocabulary, id) ? Number.MAX_SAFE_INTEGER - id : scores[id]!;
    let left = "";
    for (let cut = 1; cut < chars.length; cut++) {
      left += chars[cut - 1];
      const right = token.slice(left.length);
      if (known(left) && known(right))
        found.push({
          merge: [left, right],
          score,
          left: cut,
          right: chars.length - cut,
        });
    }
  });
  found.sort((a, b) => b.score - a.score || b.left - a.left || b.right - a.right);
  return found.map(({ merge }) => merge);
}
