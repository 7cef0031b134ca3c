import type { Tokenizer } from "./types.ts";

/**
 * Text of a growing sequence of tokens. A character whose bytes are spread over several tokens
 * comes with the last of them, and one that is never finished does not come: all outputs joined equal
 * `tokenizer.decode` of all ids but for the U+FFFD at its end.
 */
export class StreamingDecoder {
  readonly #tokenizer: Tokenizer;
  // The decoder keeps unfinished bytes between calls; a BOM is text here, not a mark.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  /** A space that comes first is to be taken away. */
  #atStart: boolean;

  constructor(tokenizer: Tokenizer & { readonly stripsLeadingSpace?: boolean }) {
    this.#tokenizer = tokenizer;
    this.#atStart = tokenizer.stripsLeadingSpace ?? false;
  }

  /** The text that is certain after this token; "" while a character is unfinished. */
  push(id: number): string {
    return this.#strip(this.#utf8.decode(this.#tokenizer.tokenBytes(id), { stream: true }));
  }

  #strip(text: string): string {
    if (!this.#atStart || text === "") return text;
    this.#atStart = false;
    return text.startsWith(" ") ? text.slice(1) : text;
  }
}
