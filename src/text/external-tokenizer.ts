import { invalidArgument } from "../errors.ts";
import { ControlSplitter } from "./control-splitter.ts";
import { type GgufMetadata, readBoolean } from "./gguf/gguf-fields.ts";
import { readVocabulary, TOKEN_TYPE, type Vocabulary } from "./gguf/gguf-vocabulary.ts";
import { wellFormed } from "./token-text.ts";
import { VocabularyTokenizer } from "./vocabulary-tokenizer.ts";

/** What is used of a `@huggingface/transformers` tokenizer; the public API declares the same. */
export interface TokenizerLike {
  encode(text: string, options?: { add_special_tokens?: boolean }): number[];
  decode(ids: number[], options?: { skip_special_tokens?: boolean }): string;
}

/**
 * A tokenizer of `@huggingface/transformers` in place of the built-in one, for models whose own is
 * not supported. It cuts text into tokens; control tokens and the bytes of each token come from the
 * GGUF's vocabulary, so both must be of the same model.
 * @throws bad_model_file if the GGUF's vocabulary is damaged; invalid_argument if the tokenizer has
 *   other ids for the GGUF's first or last token of a sequence.
 */
export function createExternalTokenizer(
  external: TokenizerLike,
  metadata: GgufMetadata,
): VocabularyTokenizer {
  const vocabulary = readVocabulary(metadata);
  checkSameModel(external, vocabulary);
  const prefix = readBoolean(metadata, "tokenizer.ggml.add_space_prefix");
  return new ExternalTokenizer(external, vocabulary, prefix ?? vocabulary.model === "llama");
}

class ExternalTokenizer extends VocabularyTokenizer {
  readonly #external: TokenizerLike;
  readonly #splitter: ControlSplitter;

  constructor(external: TokenizerLike, vocabulary: Vocabulary, stripsLeadingSpace: boolean) {
    super(vocabulary, stripsLeadingSpace);
    this.#external = external;
    this.#splitter = new ControlSplitter(vocabulary);
  }

  encode(text: string, options: { special?: boolean } = {}): number[] {
    if (typeof text !== "string") throw invalidArgument("text", "is not a string");
    return options.special ? this.#encode(wellFormed(text)) : this.#encodeOrdinary(text);
  }

  encodeGuarded(text: string, guard: string): number[] {
    // It would read a token that the guard keeps from being one, so the text is cut there.
    return this.#splitter
      .splitGuarded(text)
      .flatMap((part) =>
        typeof part === "number"
          ? [part]
          : part.split(guard).flatMap((piece) => this.#encodeOrdinary(piece)),
      );
  }

  /**
   * These tokenizers always read control tokens spelled in text. So the text is cut inside each
   * spelling; a control token that appears all the same is dropped.
   */
  #encodeOrdinary(text: string): number[] {
    text = wellFormed(text);
    const pieces: string[] = [];
    let start = 0;
    for (let at = 0; at < text.length; at++) {
      if (this.#splitter.control.matchAt(text, at) === 0) continue;
      pieces.push(text.slice(start, at + 1));
      start = at + 1;
    }
    pieces.push(text.slice(start));
    return pieces
      .filter((piece) => piece !== "")
      .flatMap((piece) => this.#encode(piece))
      .filter((id) => this.vocabulary.types[id] !== TOKEN_TYPE.control);
  }

  #encode(text: string): number[] {
    return text === "" ? [] : this.#external.encode(text, { add_special_tokens: false });
  }
}

function checkSameModel(external: TokenizerLike, vocabulary: Vocabulary): void {
  for (const id of [vocabulary.bos, vocabulary.eos]) {
    if (id === undefined) continue;
    const spelling = vocabulary.tokens[id]!;
    const ids = external.encode(spelling, { add_special_tokens: false });
    if (ids.length !== 1 || ids[0] !== id)
      throw invalidArgument(
        "tokenizer",
        `it encodes "${spelling}" as [${ids.join(", ")}], the model file as ${id}`,
        "Pass the tokenizer of the same model.",
      );
  }
}
