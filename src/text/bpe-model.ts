import { BPE } from "@huggingface/tokenizers";

export type Merge = [left: string, right: string];

export interface BpeOptions {
  /** What a character without a token becomes; undefined: it is left out, and its neighbours may merge. */
  readonly unknown?: number | undefined;
  /** Unknown characters in a row are one unknown token. */
  readonly fuseUnknown?: boolean;
  /** A character without a token is written as its bytes, `<0x0A>`, where all of them are tokens. */
  readonly byteFallback?: boolean;
  /** A word that is in the vocabulary is that token, whatever the merges say. */
  readonly ignoreMerges?: boolean;
}

const utf8 = new TextEncoder();
const byteSpelling = (byte: number): string =>
  `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;

/** Byte-pair encoding of single words. */
export class BpeModel {
  readonly #bpe: BPE;
  readonly #ids: ReadonlyMap<string, number>;
  readonly #options: BpeOptions;

  /** `ids` holds the tokens that text may become; every part of a merge, and its union, must be among them. */
  constructor(ids: Map<string, number>, merges: Merge[], options: BpeOptions) {
    this.#ids = ids;
    this.#options = options;
    this.#bpe = new BPE({ type: "BPE", vocab: {}, merges, unk_token: null, ignore_merges: false });
    // Given as an object it would be made a map of again: 80 ms of a load for 49,000 tokens.
    this.#bpe.tokens_to_ids = ids;
  }

  /**
   * Ids of one word, in the vocabulary's own spelling. A character that no token can write is looked at before
   * anything is merged, as in `tokenizers`.
   */
  encode(word: string): number[] {
    const { unknown, fuseUnknown = false, ignoreMerges = false } = this.#options;
    const whole = ignoreMerges ? this.#ids.get(word) : undefined;
    if (whole !== undefined) return [whole];
    const ids: number[] = [];
    let known = "";
    let afterUnknown = false;
    const merge = () => {
      for (const token of known === "" ? [] : this.#bpe.bpe(known)) ids.push(this.#ids.get(token)!);
      known = "";
    };
    for (const char of word) {
      if (this.#ids.has(char)) {
        known += char;
        afterUnknown = false;
        continue;
      }
      const bytes = this.#bytesOf(char);
      if (bytes === undefined && unknown === undefined) continue;
      merge();
      if (bytes !== undefined) ids.push(...bytes);
      else if (!(fuseUnknown && afterUnknown)) ids.push(unknown!);
      afterUnknown = bytes === undefined;
    }
    merge();
    return ids;
  }

  #bytesOf(char: string): number[] | undefined {
    if (!this.#options.byteFallback) return undefined;
    const ids = Array.from(utf8.encode(char), (byte) => this.#ids.get(byteSpelling(byte)));
    return ids.every((id) => id !== undefined) ? ids : undefined;
  }
}
