import type { Tokenizer } from "./types.ts";

/**
 * Text of a growing sequence of tokens. A character whose bytes are spread over several tokens
 * comes with the last of them; all outputs joined equal `tokenizer.decode` of all ids.
 */
export class StreamingDecoder {
  readonly #tokenizer: Tokenizer;
  // The decoder keeps unfinished bytes between calls; a BOM is text here, not a mark.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #strips: boolean;
  #atStart: boolean;

  constructor(tokenizer: Tokenizer & { readonly stripsLeadingSpace?: boolean }) {
    this.#tokenizer = tokenizer;
    this.#strips = tokenizer.stripsLeadingSpace ?? false;
    this.#atStart = this.#strips;
  }

  /** The text that is certain after this token; "" while a character is unfinished. */
  push(id: number): string {
    return this.#strip(this.#utf8.decode(this.#tokenizer.tokenBytes(id), { stream: true }));
  }

  /** The rest: U+FFFD for a character that was never finished. The decoder can then start anew. */
  flush(): string {
    const rest = this.#strip(this.#utf8.decode());
    this.#atStart = this.#strips;
    return rest;
  }

  #strip(text: string): string {
    if (!this.#atStart || text === "") return text;
    this.#atStart = false;
    return text.startsWith(" ") ? text.slice(1) : text;
  }
}
