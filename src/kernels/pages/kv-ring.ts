import code from "../../../shaders/pages/kv_ring.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { BufferBinding, Dispatch } from "../../gpu/kernel.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import { chunkFormat, type PageFormat } from "./page-format.ts";

/** Workgroups per kv head; each takes every 32nd row. */
const WORKGROUPS = 32;

export interface KvRingBuffers {
  /** Uniform LayerShape. */
  readonly shape: BufferBinding;
  /** Uniform { lane, rows of the chunk, position of the newest token, 0 }. */
  readonly eviction: BufferBinding;
  /** The chunk scratch. */
  readonly chunk: BufferBinding;
  /** Page-table rows; the count of each kv head is updated. */
  readonly tables: BufferBinding;
  /** The layer's slab. */
  readonly pages: BufferBinding;
}

export interface KvRing {
  dispatch(buffers: KvRingBuffers, kvHeads: number): Dispatch;
}

/** Takes a prompt chunk into the cache of a layer with a sliding window: slot = position % capacity. */
export async function createKvRing(gpu: GpuContext, format: PageFormat): Promise<KvRing> {
  const kernel = await gpu.kernel({
    label: "kv_ring",
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
