import { NumberHeap } from "./number-heap.ts";

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

/** Words remembered with their ids, and the longest of them. */
const [REMEMBERED, LONGEST] = [10_000, 64];
/** A queue's entry is rank * POSITIONS + position: the best rank first, the leftmost of equals. */
const POSITIONS = 2 ** 29;
/** In place of an id that has become part of its left neighbour. */
const GONE = -1;

/** Byte-pair encoding of single words, as in `tokenizers`: characters to tokens first, then merges by rank. */
export class BpeModel {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #options: BpeOptions;
  /** left * stride + right -> rank. */
  readonly #ranks = new Map<number, number>();
  /** The token that left and right become, by rank. */
  readonly #unions: number[];
  readonly #stride: number;
  readonly #remembered = new Map<string, readonly number[]>();

  /** `ids` holds the tokens that text may become; both parts of a merge, and their union, must be among them. */
  constructor(ids: ReadonlyMap<string, number>, merges: readonly Merge[], options: BpeOptions) {
    this.#ids = ids;
    this.#options = options;
    let highest = 0;
    for (const id of ids.values()) highest = Math.max(highest, id);
    this.#stride = highest + 1;
    this.#unions = merges.map(([left, right]) => ids.get(left + right)!);
    merges.forEach(([left, right], rank) => {
      this.#ranks.set(ids.get(left)! * this.#stride + ids.get(right)!, rank);
    });
  }

  /** Ids of one word, in the vocabulary's own spelling. */
  encode(word: string): readonly number[] {
    const known = this.#remembered.get(word);
    if (known !== undefined) return known;
    const whole = this.#options.ignoreMerges ? this.#ids.get(word) : undefined;
    const ids = whole === undefined ? this.#merge(this.#characters(word)) : [whole];
    if (word.length <= LONGEST) {
      if (this.#remembered.size === REMEMBERED) this.#remembered.clear();
      this.#remembered.set(word, ids);
    }
    return ids;
  }

  #characters(word: string): number[] {
    const { unknown, fuseUnknown = false, byteFallback = false } = this.#options;
    const ids: number[] = [];
    let afterUnknown = false;
    for (const char of word) {
      const id = this.#ids.get(char);
      const found = id === undefined && byteFallback ? this.#bytesOf(char) : id;
      if (found === undefined && unknown === undefined) continue;
      if (found === undefined) {
        if (!(fuseUnknown && afterUnknown)) ids.push(unknown!);
      } else if (typeof found === "number") ids.push(found);
      else ids.push(...found);
      afterUnknown = found === undefined;
    }
    return ids;
  }

  #bytesOf(char: string): number[] | undefined {
    const ids = Array.from(utf8.encode(char), (byte) => this.#ids.get(byteSpelling(byte)));
    return ids.every((id) => id !== undefined) ? ids : undefined;
  }

  /** Merges neighbours, best rank first, until none can be. */
  #merge(ids: number[]): number[] {
    const count = ids.length;
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const queue = new NumberHeap();
    const rankAt = (at: number): number | undefined => {
      const right = next[at]!;
      if (right >= count) return undefined;
      return this.#ranks.get(ids[at]! * this.#stride + ids[right]!);
    };
    const offer = (at: number) => {
      const rank = at < 0 ? undefined : rankAt(at);
      if (rank !== undefined) queue.push(rank * POSITIONS + at);
    };
    for (let at = 0; at < count; at++) offer(at);
    for (let entry = queue.pop(); entry !== undefined; entry = queue.pop()) {
      const at = entry % POSITIONS;
      const rank = (entry - at) / POSITIONS;
      // Since it was offered, one of the two may have merged otherwise.
      if (ids[at] === GONE || rankAt(at) !== rank) continue;
      const gone = next[at]!;
      ids[at] = this.#unions[rank]!;
      ids[gone] = GONE;
      next[at] = next[gone]!;
      if (next[gone]! < count) previous[next[gone]!] = at;
      offer(previous[at]!);
      offer(at);
    }
    return ids.filter((id) => id !== GONE);
  }
}
