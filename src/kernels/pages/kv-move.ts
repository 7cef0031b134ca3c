import code from "../../../shaders/pages/kv_move.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { BufferBinding, Dispatch } from "../../gpu/kernel.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import { chunkFormat, type PageFormat } from "./page-format.ts";

/** Workgroups per kv head; each takes every 32nd move. */
const WORKGROUPS = 32;

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
export async function createKvMove(gpu: GpuContext, format: PageFormat): Promise<KvMove> {
  const kernel = await gpu.kernel({
    label: "kv_move",
    code: [
      pagedConstants(format),
      ...pageCode("pages", format, "write words"),
      ...pageCode("chunk", chunkFormat(format), "read words"),
      code,
    ],
  });
  return {
    dispatch: (buffers, kvHeads) => kernel.dispatch(buffers, [WORKGROUPS, kvHeads]),
  };
}
