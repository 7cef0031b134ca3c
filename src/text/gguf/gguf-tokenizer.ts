import { invalidArgument, WinnowError } from "../../errors.ts";
import { BpeModel } from "../bpe-model.ts";
import { toByteAlphabet } from "../byte-level.ts";
import { ControlSplitter } from "../control-splitter.ts";
import { type PreTokenizer, preTokenizerNamed, splitWords } from "../pre-tokenizer.ts";
import { wellFormed } from "../token-text.ts";
import { VocabularyTokenizer } from "../vocabulary-tokenizer.ts";
import { type GgufMetadata, readBoolean, readString } from "./gguf-fields.ts";
import { readMerges, textTokens } from "./gguf-merges.ts";
import { readVocabulary, SPACE_MARK } from "./gguf-vocabulary.ts";

/**
 * The tokenizer a GGUF describes.
 * @throws bad_model_file, naming the key, for missing or inconsistent metadata; unsupported_model
 *   for a tokenizer or pre-tokenizer that is not known.
 */
export function createGgufTokenizer(
  metadata: GgufMetadata,
  named = preTokenizerNamed,
): GgufTokenizer {
  return new GgufTokenizer(metadata, named);
}

/**
 * Ids equal those of `transformers` but for two points, where it follows llama.cpp and the tokenizer
 * the model was trained with: SmolLM's digits are single before words are cut, as its tokenizer.json has it
 * (transformers' reading of a GGUF leaves that out), and SentencePiece puts its space in front of every
 * stretch between control tokens.
 */
export class GgufTokenizer extends VocabularyTokenizer {
  readonly #pre: PreTokenizer | undefined;
  readonly #model: BpeModel;
  readonly #splitter: ControlSplitter;

  constructor(metadata: GgufMetadata, named: (name: string) => PreTokenizer) {
    const vocabulary = readVocabulary(metadata);
    const { model } = vocabulary;
    const sentencePiece = model === "llama";
    if (model !== "gpt2" && !sentencePiece) throw unsupportedTokenizer(model);
    const pre = sentencePiece
      ? undefined
      : named(readString(metadata, "tokenizer.ggml.pre") ?? "default");
    const spaced =
      sentencePiece && (readBoolean(metadata, "tokenizer.ggml.add_space_prefix") ?? true);
    const ids = textTokens(vocabulary);
    const { merges, notices } = readMerges(metadata, vocabulary, ids);
    super(vocabulary, spaced, notices);
    this.#pre = pre;
    this.#model = new BpeModel(ids, merges, {
      byteFallback: sentencePiece,
      ignoreMerges: pre?.ignoreMerges ?? false,
      // Byte-level vocabularies leave out what no token can write; SentencePiece has a token for it.
      ...(sentencePiece && { unknown: vocabulary.unknown, fuseUnknown: true }),
    });
    this.#splitter = new ControlSplitter(vocabulary);
  }

  encode(text: string, options: { special?: boolean } = {}): number[] {
    if (typeof text !== "string") throw invalidArgument("text", "is not a string");
    const finder = options.special ? this.#splitter.whole : this.#splitter.userDefined;
    const ids: number[] = [];
    for (const piece of finder.split(wellFormed(text))) {
      if (piece.literal) ids.push(this.vocabulary.ids.get(piece.text)!);
      else this.#encodeOrdinary(piece.text, ids);
    }
    return ids;
  }

  encodeGuarded(text: string, guard: string): number[] {
    const ids: number[] = [];
    for (const part of this.#splitter.splitGuarded(wellFormed(text)))
      if (typeof part === "number") ids.push(part);
      else this.#encodeOrdinary(part.replaceAll(guard, ""), ids);
    return ids;
  }

  #encodeOrdinary(text: string, ids: number[]): void {
    if (this.#pre === undefined) {
      const prefix = this.stripsLeadingSpace ? SPACE_MARK : "";
      pushAll(ids, this.#model.encode(prefix + text.replaceAll(" ", SPACE_MARK)));
      return;
    }
    for (const word of splitWords(text, this.#pre))
      pushAll(ids, this.#model.encode(toByteAlphabet(word)));
  }
}

/** Not push(...more): an argument list has a length limit, a pasted book has not. */
function pushAll(ids: number[], more: readonly number[]): void {
  for (const id of more) ids.push(id);
}

function unsupportedTokenizer(model: string): WinnowError {
  return new WinnowError(
    "unsupported_model",
    `tokenizer.ggml.model: the tokenizer "${model}" is not supported`,
    {
      hint: "Supported are gpt2, llama, gemma4; or pass a tokenizer of @huggingface/transformers.",
      details: { field: "tokenizer.ggml.model", value: model, supported: ["gpt2", "llama"] },
    },
  );
}
