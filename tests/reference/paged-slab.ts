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
