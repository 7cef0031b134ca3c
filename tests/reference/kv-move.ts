import { keyWord, type PageFormat, positionWord, scoreWord, valueWord } from "./paged-slab.ts";

/** Twin of shaders/kv_move.wgsl for one kv head, whose page-table entries are `table`. */
export function kvMove(
  format: PageFormat,
  moves: readonly [number, number][],
  table: readonly number[],
  pages: Uint32Array,
  chunk: Uint32Array,
  firstChunkPage: number,
): void {
  const half = format.headDim / 2;
  const P = format.pageSlots;
  for (const [source, destination] of moves) {
    const inChunk = source >= 0x80000000;
    const from = inChunk ? source - 0x80000000 : source;
    const data = inChunk ? chunk : pages;
    const fromPage = inChunk ? firstChunkPage + Math.floor(from / P) : table[Math.floor(from / P)]!;
    const toPage = table[Math.floor(destination / P)]!;
    for (const [word, size] of [
      [keyWord, half],
      [valueWord, half],
      [positionWord, 1],
      [scoreWord, 1],
    ] as const) {
      const start = word(format, fromPage, from);
      pages.set(data.slice(start, start + size), word(format, toPage, destination));
    }
  }
}
