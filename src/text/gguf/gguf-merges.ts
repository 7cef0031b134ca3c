import type { Merge } from "../bpe-model.ts";
import {
  badMetadata,
  checkLength,
  type GgufMetadata,
  readNumbers,
  readStrings,
} from "./gguf-fields.ts";
import { isSpaceRun, SPACE_MARK, TOKEN_TYPE, type Vocabulary } from "./gguf-vocabulary.ts";

const MERGES = "tokenizer.ggml.merges";
const SCORES = "tokenizer.ggml.scores";

/** May be made by merging: control, unknown and byte tokens may not. */
const isText = (vocabulary: Vocabulary, id: number): boolean => {
  const type = vocabulary.types[id];
  return type !== TOKEN_TYPE.control && type !== TOKEN_TYPE.unknown && type !== TOKEN_TYPE.byte;
};

/** The tokens that text may become, by the spelling that merges know them by. */
export function textTokens(vocabulary: Vocabulary): Map<string, number> {
  const ids = new Map<string, number>();
  vocabulary.tokens.forEach((token, id) => {
    if (!isText(vocabulary, id) && vocabulary.types[id] !== TOKEN_TYPE.byte) return;
    ids.set(isSpaceRun(vocabulary, id) ? SPACE_MARK.repeat(token.length) : token, id);
  });
  return ids;
}

/**
 * The merges a GGUF lists, or those that the scores of a SentencePiece vocabulary amount to. One that names an
 * unknown token is passed over, which `notices` says.
 * @throws bad_model_file if merges are missing or malformed, or if the scores that stand in for them are missing,
 *   too few or no numbers.
 */
export function readMerges(
  metadata: GgufMetadata,
  vocabulary: Vocabulary,
  ids: ReadonlyMap<string, number>,
): { merges: Merge[]; notices: string[] } {
  const given = readStrings(metadata, MERGES);
  if (given !== undefined) return parseMerges(given, vocabulary);
  if (vocabulary.model === "gpt2") throw badMetadata(MERGES, "is missing");
  return { merges: deriveMerges(vocabulary, ids, readScores(metadata, vocabulary)), notices: [] };
}

function parseMerges(
  lines: readonly string[],
  vocabulary: Vocabulary,
): { merges: Merge[]; notices: string[] } {
  const merges: Merge[] = [];
  const unknown: string[] = [];
  lines.forEach((line, index) => {
    // A token may itself begin with a space, so the separator is sought after the first character.
    const space = line.indexOf(" ", 1);
    if (space === -1) throw badMetadata(MERGES, `entry ${index} "${line}" is not two tokens`);
    const merge = knownCut(line, space, vocabulary);
    if (merge === undefined) unknown.push(line);
    else if (isText(vocabulary, vocabulary.ids.get(merge.join(""))!)) merges.push(merge);
  });
  const [first] = unknown;
  if (first === undefined) return { merges, notices: [] };
  const notice = `${MERGES}: ${unknown.length} entries name unknown tokens and were passed over, "${first}" first`;
  return { merges, notices: [notice] };
}

/** Cut at the first space that leaves two tokens whose union is one: tokens may have spaces inside. */
function knownCut(line: string, space: number, { ids }: Vocabulary): Merge | undefined {
  for (let at = space; at !== -1; at = line.indexOf(" ", at + 1)) {
    const [left, right] = [line.slice(0, at), line.slice(at + 1)];
    if (ids.has(left) && ids.has(right) && ids.has(left + right)) return [left, right];
  }
  return undefined;
}

function readScores(metadata: GgufMetadata, vocabulary: Vocabulary): ArrayLike<number> {
  const scores = readNumbers(metadata, SCORES);
  if (scores === undefined) throw badMetadata(SCORES, "is missing, and so are merges");
  checkLength(SCORES, scores.length, vocabulary.tokens.length);
  for (let id = 0; id < vocabulary.tokens.length; id++)
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
