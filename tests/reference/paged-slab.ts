/** D and P of a slab: see shaders/lib/paging.wgsl, whose arithmetic this repeats. */
export interface PageFormat {
  headDim: number;
  pageSlots: number;
}

export const pageWords = ({ headDim, pageSlots }: PageFormat): number => pageSlots * (headDim + 2);

export const keyWord = (f: PageFormat, page: number, slot: number): number =>
  page * pageWords(f) + (slot % f.pageSlots) * (f.headDim / 2);

export const valueWord = (f: PageFormat, page: number, slot: number): number =>
  keyWord(f, page, slot) + (f.pageSlots * f.headDim) / 2;

export const positionWord = (f: PageFormat, page: number, slot: number): number =>
  page * pageWords(f) + f.pageSlots * f.headDim + (slot % f.pageSlots);

export const scoreWord = (f: PageFormat, page: number, slot: number): number =>
  positionWord(f, page, slot) + f.pageSlots;

/** A slot of a page, in a slab or in a chunk. */
interface Place {
  words: Uint32Array;
  page: number;
  slot: number;
}

/** Copies key, value, position and score of a slot to another. */
export function copyPair(format: PageFormat, from: Place, to: Place): void {
  const half = format.headDim / 2;
  for (const [word, size] of [
    [keyWord, half],
    [valueWord, half],
    [positionWord, 1],
    [scoreWord, 1],
  ] as const) {
    const start = word(format, from.page, from.slot);
    to.words.set(from.words.slice(start, start + size), word(format, to.page, to.slot));
  }
}
