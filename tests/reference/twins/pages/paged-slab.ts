import {
  chunkFormat,
  type KvStorage,
  type PageFormat,
  pageWords,
} from "../../../../src/kernels/pages/page-format.ts";
import { loadVector, storeVector } from "./page-vectors.ts";

/** D, P and storage of a slab: see shaders/lib/page_slots.wgsl, whose arithmetic this repeats. */
export interface SlabFormat extends PageFormat {
  readonly pageSlots: number;
}

const VALUES_A_WORD: Readonly<Record<KvStorage, number>> = { f16: 2, q8: 4, f32: 1 };

const storageOf = ({ storage = "f16" }: SlabFormat): KvStorage => storage;

const vectorWords = (f: SlabFormat): number => f.headDim / VALUES_A_WORD[storageOf(f)];

export const keyWord = (f: SlabFormat, page: number, slot: number): number =>
  page * pageWords(f) + (slot % f.pageSlots) * vectorWords(f);

export const valueWord = (f: SlabFormat, page: number, slot: number): number =>
  keyWord(f, page, slot) + f.pageSlots * vectorWords(f);

/** Of q8 alone: bfloat16 of the key's scale, and of the value's in the high half. */
const scaleWord = (f: SlabFormat, page: number, slot: number): number =>
  page * pageWords(f) + 2 * f.pageSlots * vectorWords(f) + (slot % f.pageSlots);

export const positionWord = (f: SlabFormat, page: number, slot: number): number =>
  (page + 1) * pageWords(f) - 2 * f.pageSlots + (slot % f.pageSlots);

export const scoreWord = (f: SlabFormat, page: number, slot: number): number =>
  positionWord(f, page, slot) + f.pageSlots;

/** A slot of a page, in a slab or in a chunk. */
export interface Place {
  words: Uint32Array;
  page: number;
  slot: number;
}

/** A key and its value, as one slot of a kv head holds them. */
export interface Pair {
  key: Float32Array;
  value: Float32Array;
  position: number;
  score: number;
}

const float = new Float32Array(2);
const bits = new Uint32Array(float.buffer);

/** Stores a pair. */
export function writePair(f: SlabFormat, { words, page, slot }: Place, pair: Pair): void {
  const key = storeVector(pair.key, storageOf(f));
  const value = storeVector(pair.value, storageOf(f));
  words.set(key.words, keyWord(f, page, slot));
  words.set(value.words, valueWord(f, page, slot));
  if (storageOf(f) === "q8") {
    float.set([key.scale, value.scale]);
    words[scaleWord(f, page, slot)] = ((bits[0]! >>> 16) | bits[1]!) >>> 0;
  }
  float[0] = pair.score;
  words[positionWord(f, page, slot)] = pair.position;
  words[scoreWord(f, page, slot)] = bits[0]!;
}

/** What a slot holds, as attention sees it. */
export function readPair(f: SlabFormat, { words, page, slot }: Place): Pair {
  const scales = storageOf(f) === "q8" ? words[scaleWord(f, page, slot)]! : 0;
  bits.set([scales << 16, scales & 0xffff0000]);
  const [keyScale, valueScale] = float;
  const vector = (start: number, scale: number) =>
    loadVector({ words: words.slice(start, start + vectorWords(f)), scale }, storageOf(f));
  const key = vector(keyWord(f, page, slot), keyScale!);
  const value = vector(valueWord(f, page, slot), valueScale!);
  bits[0] = words[scoreWord(f, page, slot)]!;
  return { key, value, position: words[positionWord(f, page, slot)]!, score: float[0]! };
}

/** Copies a slot to another as it is stored. */
export function copyPair(f: SlabFormat, from: Place, to: Place): void {
  for (const [word, size] of [
    [keyWord, vectorWords(f)],
    [valueWord, vectorWords(f)],
    [scaleWord, storageOf(f) === "q8" ? 1 : 0],
    [positionWord, 1],
    [scoreWord, 1],
  ] as const) {
    const start = word(f, from.page, from.slot);
    to.words.set(from.words.slice(start, start + size), word(f, to.page, to.slot));
  }
}

/** Takes a row of a chunk into a slot of pages in `f`. Twin of shaders/pages/lib/take_row.wgsl. */
export function takeRow(f: SlabFormat, from: Place, to: Place): void {
  const chunk = chunkFormat(f);
  if (chunk.storage === storageOf(f)) copyPair(f, from, to);
  else {
    writePair(f, to, readPair(chunk, from));
    to.words[scoreWord(f, to.page, to.slot)] = from.words[scoreWord(chunk, from.page, from.slot)]!;
  }
}
