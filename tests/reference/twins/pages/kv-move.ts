import { copyPair, type SlabFormat, takeRow } from "./paged-slab.ts";

/** Twin of shaders/pages/kv_move.wgsl for one kv head, whose page-table entries are `table`. */
export function kvMove(
  format: SlabFormat,
  moves: readonly [number, number][],
  table: readonly number[],
  pages: Uint32Array,
  chunk: Uint32Array,
  firstChunkPage: number,
): void {
  const P = format.pageSlots;
  for (const [source, destination] of moves) {
    const inChunk = source >= 0x80000000;
    const from = inChunk ? source - 0x80000000 : source;
    const data = inChunk ? chunk : pages;
    const fromPage = inChunk ? firstChunkPage + Math.floor(from / P) : table[Math.floor(from / P)]!;
    const toPage = table[Math.floor(destination / P)]!;
    const place = { words: data, page: fromPage, slot: from };
    const target = { words: pages, page: toPage, slot: destination };
    if (inChunk) takeRow(format, place, target);
    else copyPair(format, place, target);
  }
}
