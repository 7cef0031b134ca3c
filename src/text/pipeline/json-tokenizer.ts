import { invalidArgument } from "../../errors.ts";
import { PIPELINE } from "../../formats/checkpoint/pipeline-key.ts";
import { BpeModel } from "../bpe-model.ts";
import { badMetadata, type GgufMetadata, readString } from "../gguf/gguf-fields.ts";
import { readMerges } from "../gguf/gguf-merges.ts";
import { readVocabulary, TOKEN_TYPE, type Vocabulary } from "../gguf/gguf-vocabulary.ts";
import { wellFormed } from "../token-text.ts";
import { VocabularyTokenizer } from "../vocabulary-tokenizer.ts";
import { AddedTokens, addedTokensOf } from "./added-tokens.ts";
import { stripsLeadingSpace } from "./decoder.ts";
import { flag, isJson, type Json, unsupportedPart } from "./json.ts";
import { normalizerOf } from "./normalizer.ts";
import type { Piece } from "./piece.ts";
import { type PreTokenizer, preTokenizerOf } from "./pre-tokenizer.ts";

/**
 * The tokenizer of a checkpoint's tokenizer.json: ids equal those of `tokenizers`, with `encode_special_tokens`
 * where control tokens are text.
 */
export class JsonTokenizer extends VocabularyTokenizer {
  readonly #added: AddedTokens;
  readonly #preTokenize: PreTokenizer;
  readonly #model: BpeModel;

  /**
   * @throws unsupported_model naming the part of tokenizer.json that is not known; bad_model_file naming what is
   *   damaged.
   */
  constructor(metadata: GgufMetadata) {
    const json = parse(readString(metadata, PIPELINE) ?? "");
    const vocabulary = readVocabulary(metadata);
    const added = addedTokensOf(json.added_tokens);
    const { model, merges, notices } = bpe(metadata, vocabulary, json);
    super(vocabulary, stripsLeadingSpace(json.decoder), notices);
    this.#added = new AddedTokens(added, normalizerOf(json.normalizer));
    this.#preTokenize = preTokenizerOf(json.pre_tokenizer);
    this.#model = new BpeModel(model, merges, bpeOptions(json.model, vocabulary));
  }

  encode(text: string, { special = false }: { special?: boolean } = {}): number[] {
    if (typeof text !== "string") throw invalidArgument("text", "is not a string");
    return this.#encode({ text: wellFormed(text), first: true }, special);
  }

  encodeGuarded(text: string, guard: string): number[] {
    const ids: number[] = [];
    let [between, first] = ["", true];
    const flush = () => {
      for (const id of this.#encode({ text: between, first }, false)) ids.push(id);
      if (between !== "") first = false;
      between = "";
    };
    for (const part of this.#added.splitSpecial(wellFormed(text))) {
      if (!("id" in part)) {
        between = part.text.replaceAll(guard, "");
        continue;
      }
      flush();
      ids.push(part.id);
      first = false;
    }
    flush();
    return ids;
  }

  #encode(piece: Piece, special: boolean): number[] {
    const ids: number[] = [];
    for (const part of this.#added.split(piece, special)) {
      if ("id" in part) ids.push(part.id);
      else
        for (const word of this.#preTokenize(part))
          for (const id of this.#model.encode(word.text)) ids.push(id);
    }
    return ids;
  }
}

function parse(text: string): Json {
  try {
    const json: unknown = JSON.parse(text);
    if (isJson(json)) return json;
  } catch {
    // Said below.
  }
  throw badMetadata(PIPELINE, "is no JSON object");
}

/** What text may become by merging: all of the model's own vocabulary but control and unknown tokens. */
function bpe(metadata: GgufMetadata, vocabulary: Vocabulary, json: Json) {
  const model = new Map<string, number>();
  const outside = new Set(
    Array.isArray(json.outside_model) ? (json.outside_model as unknown[]) : [],
  );
  const { control, unknown, unused } = TOKEN_TYPE;
  vocabulary.tokens.forEach((token, id) => {
    const type = vocabulary.types[id];
    if (type === control || type === unknown || type === unused || outside.has(id)) return;
    model.set(token, id);
  });
  return { model, ...readMerges(metadata, vocabulary, model) };
}

function bpeOptions(value: unknown, { unknown }: Vocabulary) {
  const json = isJson(value) ? value : {};
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix", "dropout"])
    if (json[key]) throw unsupportedPart(`model.${key}`, JSON.stringify(json[key]));
  return {
    unknown,
    fuseUnknown: flag(json, "fuse_unk", "model", false),
    byteFallback: flag(json, "byte_fallback", "model", false),
    ignoreMerges: flag(json, "ignore_merges", "model", false),
  };
}
