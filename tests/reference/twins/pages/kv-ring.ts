import { type SlabFormat, takeRow } from "./paged-slab.ts";

/**
 * Twin of shaders/pages/kv_ring.wgsl for one kv head: row r of a chunk of `rows`, at position start + r, into slot
 * (start + r) % capacity; later rows win. Returns the slots in use afterwards.
 */
export function kvRing(
  format: SlabFormat,
  { start, rows, capacity }: { start: number; rows: number; capacity: number },
  table: readonly number[],
  pages: Uint32Array,
  chunk: Uint32Array,
  firstChunkPage: number,
): number {
  const P = format.pageSlots;
  for (let r = 0; r < rows; r += 1) {
    const slot = (start + r) % capacity;
    const from = { words: chunk, page: firstChunkPage + Math.floor(r / P), slot: r };
    takeRow(format, from, { words: pages, page: table[Math.floor(slot / P)]!, slot });
  }
  return Math.min(capacity, start + rows);
}
