import code from "../../shaders/kv_move.wgsl?raw";
import eviction from "../../shaders/lib/eviction.wgsl?raw";
import paging from "../../shaders/lib/paging.wgsl?raw";
import takeRow from "../../shaders/lib/take_row.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants } from "../gpu/kernel.ts";

/** Workgroups a kv head; each takes every 32nd move. */
const WORKGROUPS = 32;

export interface KvMoveConfig {
  /** D. */
  headDim: number;
  /** P. */
  pageSlots: number;
}

export interface KvMoveBuffers {
  /** Uniform LayerShape. */
  shape: BufferBinding;
  /** The uniform that evict-select was given. */
  eviction: BufferBinding;
  /** Page-table rows, read only. */
  tables: BufferBinding;
  /** The moves that evict-select wrote. */
  moves: BufferBinding;
  /** The chunk scratch. */
  chunk: BufferBinding;
  /** The layer's slab. */
  pages: BufferBinding;
}

export interface KvMove {
  /** Copies the survivors of one layer and lane into their slots. */
  dispatch(buffers: KvMoveBuffers, kvHeads: number): Dispatch;
}

/** Copies key, value, position and score of every move of evict-select from its source to its slot. */
export async function createKvMove(
  gpu: GpuContext,
  { headDim, pageSlots }: KvMoveConfig,
): Promise<KvMove> {
  const kernel = await gpu.kernel({
    label: "kv_move",
    code: [
      wgslConstants({ HEAD_DIM: headDim, PAGE_SLOTS: pageSlots }),
      paging,
      eviction,
      takeRow,
      code,
    ],
    bindings: ["uniform", "uniform", "read", "read", "read", "write"],
  });
  return {
    dispatch: (b, kvHeads) => ({
      kernel,
      bindings: kernel.bind(b.shape, b.eviction, b.tables, b.moves, b.chunk, b.pages),
      workgroups: [WORKGROUPS, kvHeads],
    }),
  };
}
