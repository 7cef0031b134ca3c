import { keyWord, type PageFormat, positionWord, scoreWord, valueWord } from "./paged-slab.ts";

/**
 * Twin of shaders/kv_ring.wgsl for one kv head: row r of a chunk of `rows`, at position start + r, into slot
 * (start + r) % capacity; later rows win. Returns the slots in use afterwards.
 */
export function kvRing(
  format: PageFormat,
  { start, rows, capacity }: { start: number; rows: number; capacity: number },
  table: readonly number[],
  pages: Uint32Array,
  chunk: Uint32Array,
  firstChunkPage: number,
): number {
  const half = format.headDim / 2;
  const P = format.pageSlots;
  for (let r = 0; r < rows; r += 1) {
    const slot = (start + r) % capacity;
    for (const [word, size] of [
      [keyWord, half],
      [valueWord, half],
      [positionWord, 1],
      [scoreWord, 1],
    ] as const) {
      const from = word(format, firstChunkPage + Math.floor(r / P), r);
      const to = word(format, table[Math.floor(slot / P)]!, slot);
      pages.set(chunk.slice(from, from + size), to);
    }
  }
  return Math.min(capacity, start + rows);
}
