/** Shared by the kernels that select survivors and by the one that moves them. */
import type { BufferBinding, Dispatch } from "../../gpu/kernel.ts";

export interface SelectBuffers {
  /** Uniform LayerShape (shaders/lib/paging.wgsl). */
  shape: BufferBinding;
  /** Uniform EVICTION. */
  eviction: BufferBinding;
  /** The layer's slab. */
  pages: BufferBinding;
  /** The chunk scratch: row r of kv head g is in page g * chunk_pages + r / P at slot r % P. */
  chunk: BufferBinding;
  /** Page-table rows; the count of each kv head is updated. */
  tables: BufferBinding;
  /** Array of Lane. */
  lanes: BufferBinding;
  /** Output of `movesBytes(G, maxMoves)`: for each kv head [n, (source, destination) x n]. */
  moves: BufferBinding;
}

export interface Select {
  /** Says where the survivors of one layer and lane go; needs `kv-move` after it. */
  dispatch(buffers: SelectBuffers, kvHeads: number): Dispatch;
}

/**
 * Bytes of the moves buffer. The kernels share it out evenly among the kv heads, so its size is its stride.
 * `maxMoves`: rows of the largest chunk + most slots beyond a lowered capacity; never more than the capacity.
 */
export const movesBytes = (kvHeads: number, maxMoves: number): number =>
  4 * kvHeads * (1 + 2 * maxMoves);
