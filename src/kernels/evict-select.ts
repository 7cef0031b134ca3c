import code from "../../shaders/evict_select.wgsl?raw";
import eviction from "../../shaders/lib/eviction.wgsl?raw";
import ordered from "../../shaders/lib/ordered.wgsl?raw";
import type { AdapterKind } from "../gpu/adapter-kind.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { BufferBinding, Dispatch } from "../gpu/kernel.ts";
import { pageCode, pagedCode } from "./page-code.ts";
import { chunkFormat, type PageFormat } from "./page-format.ts";

/** Words of the `eviction` uniform: struct Eviction of shaders/lib/eviction.wgsl. */
export const EVICTION_WORDS = 8;

export interface EvictSelectBuffers {
  /** Uniform LayerShape (shaders/lib/paging.wgsl). */
  shape: BufferBinding;
  /** Uniform of EVICTION_WORDS. */
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

export interface EvictSelect {
  /** Selects the survivors of one layer and lane; needs `kv-move` after it. */
  dispatch(buffers: EvictSelectBuffers, kvHeads: number): Dispatch;
}

/**
 * Bytes of the moves buffer. The kernels share it out evenly among the kv heads, so its size is its stride.
 * `maxMoves`: rows of the largest chunk + most slots beyond a lowered capacity; never more than the capacity.
 */
export const movesBytes = (kvHeads: number, maxMoves: number): number =>
  4 * kvHeads * (1 + 2 * maxMoves);

/**
 * Keeps `capacity` of a kv head's cache slots and chunk rows: the protected ones (sinks, window), then
 * the highest scores; among equal scores the newest. All state is read on the GPU.
 */
export async function createEvictSelect(
  gpu: GpuContext,
  format: PageFormat,
  kind: AdapterKind = gpu.kind,
): Promise<EvictSelect> {
  const kernel = await gpu.kernel({
    label: "evict_select",
    code: [
      pagedCode(format, { THREADS: kind === "cpu" ? 64 : 256 }),
      pageCode("pages", format),
      pageCode("chunk", chunkFormat(format)),
      eviction,
      ordered,
      code,
    ],
    bindings: ["uniform", "uniform", "read", "read", "write", "read", "write"],
    stage: "eviction",
  });
  return {
    dispatch: (b, kvHeads) => ({
      kernel,
      bindings: kernel.bind(b.shape, b.eviction, b.pages, b.chunk, b.tables, b.lanes, b.moves),
      workgroups: [kvHeads],
    }),
  };
}
