import {
  type CacheShape,
  PAGE_SLOTS,
  pageWords,
  rowWords as tableRowWords,
} from "../../../../src/kernels/pages/cache-shape.ts";
import { remainderBytes } from "../../../../src/kernels/pages/page-format.ts";
import { LANE, ROW } from "../../../../src/kernels/records.ts";
import { seededRandom } from "../../../../src/random.ts";
import { REMAINDER_MOST } from "../attention/attention-decode.ts";
import {
  copyPair,
  type Pair,
  readPair,
  type SlabFormat,
  scoreWord,
  writePair,
} from "./paged-slab.ts";

export type { Pair } from "./paged-slab.ts";

/** struct Lane of shaders/lib/paging.wgsl. */
export interface Lane {
  dot: number;
  norm: number;
  position: number;
  random: number;
  window: number;
  sinks: number;
  seed: number;
  /** Which scoring anew it needs. Default 0: none. */
  scoring?: number;
  /** Tokens from one scoring to the next; positions before which it comes, modulo that. */
  every?: number;
  phase?: number;
  /** 1: what it drops is added to the head's remainder. */
  remembers?: number;
  /** How often its positions have been folded. */
  folds?: number;
  /** First tokens that are the system prompt. */
  system?: number;
}

/** Twin of `first_kept` of shaders/lib/paging.wgsl. */
export const firstKept = (
  { sinks, system = 0, window }: Pick<Lane, "sinks" | "system" | "window">,
  capacity: number,
): number => Math.max(sinks, Math.min(system, Math.floor(Math.max(0, capacity - window) / 4)));

export const PLAIN_LANE: Lane = {
  dot: 1,
  norm: 0,
  position: 0,
  random: 0,
  window: 1,
  sinks: 0,
  seed: 0,
};

export function laneWords(lanes: readonly Lane[]): Uint32Array<ArrayBuffer> {
  return LANE.pack(
    ...lanes.map((lane) => ({
      scoring: 0,
      every: 0,
      phase: 0,
      remembers: 0,
      folds: 0,
      system: 0,
      ...lane,
    })),
  );
}

/** Rows of a batch; the first is row `first` of its block. */
export const rowWords = (
  rows: readonly { position: number; lane: number }[],
  first = 0,
): Uint32Array<ArrayBuffer> =>
  ROW.pack(...rows.map((row, i) => ({ token: 0, ...row, block_row: first + i })));

/** `count` numbers of the standard normal distribution times `scale`. */
export function normals(random: () => number, count: number, scale = 1): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: count },
    () => scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

/** One layer's slab and all page tables, in the layout of shaders/lib/page_slots.wgsl. */
export class PagedCache {
  readonly shape: CacheShape;
  readonly layer: number;
  readonly maxPages: number;
  readonly format: SlabFormat;
  readonly pages: Uint32Array<ArrayBuffer>;
  readonly tables: Uint32Array<ArrayBuffer>;
  private readonly free: number[];

  /** A slab of `pageCount` pages filled with junk, handed out in random order. */
  constructor(
    shape: CacheShape,
    { layer = 0, lanes = 1, maxPages = 4, pageCount = 8, pageSlots = PAGE_SLOTS, seed = 1 } = {},
  ) {
    this.shape = shape;
    this.format = { headDim: shape.headDim, storage: shape.storage ?? "f16", pageSlots };
    this.layer = layer;
    this.maxPages = maxPages;
    // 0x7bff is the largest f16: junk that is read shows.
    this.pages = new Uint32Array(pageCount * pageWords(this.format)).fill(0x7bff7bff);
    this.tables = new Uint32Array(lanes * shape.layers * shape.kvHeads * this.rowWords);
    const random = seededRandom(seed);
    this.free = Array.from({ length: pageCount }, (_, i) => i);
    for (let i = pageCount - 1; i > 0; i -= 1) {
      const j = Math.floor(random() * (i + 1));
      [this.free[i], this.free[j]] = [this.free[j]!, this.free[i]!];
    }
  }

  clone(): PagedCache {
    const { layer, maxPages, format } = this;
    const copy = new PagedCache(this.shape, { layer, maxPages, pageSlots: format.pageSlots });
    return Object.assign(copy, { pages: this.pages.slice(), tables: this.tables.slice() });
  }

  /** Word of `tables` where the row of a lane and kv head begins: [count, capacity, pages...]. */
  row(lane: number, kvHead: number): number {
    const { layers, kvHeads } = this.shape;
    return ((lane * layers + this.layer) * kvHeads + kvHead) * this.rowWords;
  }

  private get rowWords(): number {
    return tableRowWords(this.shape, this.maxPages);
  }

  /** What a head has dropped, in sum: f32 [n, keys [D], values [D], total], which may be written to. */
  remainder(lane: number, kvHead: number): Float32Array {
    const word = this.row(lane, kvHead) + 2 + this.maxPages;
    return new Float32Array(this.tables.buffer, word * 4, remainderBytes(this.shape) / 4);
  }

  /** Adds pairs to what a head has dropped, one by one: what is older than the latest REMAINDER_MOST fades. */
  drop(lane: number, kvHead: number, pairs: readonly Pick<Pair, "key" | "value">[]): void {
    const sums = this.remainder(lane, kvHead);
    for (const { key, value } of pairs) {
      const keep = Math.min(1, (REMAINDER_MOST - 1) / Math.max(1, sums[0]!));
      [1, ...key, ...value].forEach((x, i) => {
        sums[i] = keep * sums[i]! + x;
      });
    }
  }

  count(lane: number, kvHead: number): number {
    return this.tables[this.row(lane, kvHead)]!;
  }

  capacity(lane: number, kvHead: number): number {
    return this.tables[this.row(lane, kvHead) + 1]!;
  }

  /** Gives the head pages for `capacity` slots and stores `pairs` in the first ones. */
  fill(lane: number, kvHead: number, capacity: number, pairs: readonly Pair[]): void {
    const row = this.row(lane, kvHead);
    const pages = Math.ceil(capacity / this.format.pageSlots);
    if (pages > this.maxPages || pages > this.free.length || pairs.length > capacity) {
      throw new Error("the test's cache is too small");
    }
    this.tables.set([pairs.length, capacity, ...this.free.splice(0, pages)], row);
    pairs.forEach((pair, slot) => {
      this.set(lane, kvHead, slot, pair);
    });
  }

  set(lane: number, kvHead: number, slot: number, pair: Pair): void {
    this.setIn(this.page(lane, kvHead, slot), slot, pair);
  }

  get(lane: number, kvHead: number, slot: number): Pair {
    return this.getIn(this.page(lane, kvHead, slot), slot);
  }

  /** Takes a slot of a clone as it is stored: what is read of q8 need not be stored the same way again. */
  copy(lane: number, kvHead: number, slot: number, from: PagedCache): void {
    this.copyIn(this.page(lane, kvHead, slot), slot, from);
  }

  setScore(lane: number, kvHead: number, slot: number, score: number): void {
    const word = scoreWord(this.format, this.page(lane, kvHead, slot), slot);
    new Float32Array(this.pages.buffer)[word] = score;
  }

  /** All pairs of a head, by slot. */
  pairs(lane: number, kvHead: number): Pair[] {
    return Array.from({ length: this.count(lane, kvHead) }, (_, s) => this.get(lane, kvHead, s));
  }

  /** The same by page: chunk scratches have no table. */
  setIn(page: number, slot: number, pair: Pair): void {
    writePair(this.format, { words: this.pages, page, slot }, pair);
  }

  getIn(page: number, slot: number): Pair {
    return readPair(this.format, { words: this.pages, page, slot });
  }

  /** Takes a slot of another cache of the same layout as it is stored. */
  copyIn(page: number, slot: number, from: PagedCache): void {
    const place = { page, slot };
    copyPair(this.format, { ...place, words: from.pages }, { ...place, words: this.pages });
  }

  private page(lane: number, kvHead: number, slot: number): number {
    return this.tables[this.row(lane, kvHead) + 2 + Math.floor(slot / this.format.pageSlots)]!;
  }
}

/** `count` random pairs at positions `first`, `first + step`, ... */
export function randomPairs(
  random: () => number,
  headDim: number,
  count: number,
  { first = 0, step = 1, keyScale = 1 } = {},
): Pair[] {
  return Array.from({ length: count }, (_, i) => ({
    key: normals(random, headDim, keyScale),
    value: normals(random, headDim),
    position: first + i * step,
    score: Math.fround(random() * 2 - 1),
  }));
}
