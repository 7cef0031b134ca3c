import code from "../../../shaders/pages/retention.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { BufferBinding, Dispatch } from "../../gpu/kernel.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import type { PageFormat } from "./page-format.ts";

/** Workgroups per kv head; each takes every 4th run of slots. */
const WORKGROUPS = 4;

export interface RetentionBuffers {
  /** Uniform LayerShape. */
  shape: BufferBinding;
  /** Uniform of 4 words whose first is the lane (an `eviction` uniform will do). */
  lane: BufferBinding;
  /** Page-table rows, read only. */
  tables: BufferBinding;
  /** The layer's slab. */
  pages: BufferBinding;
  /** u32 per position, cleared by the caller; positions beyond its end are not counted. */
  counts: BufferBinding;
}

export interface Retention {
  /** Adds one layer and lane; run it for every layer into the same counts. */
  dispatch(buffers: RetentionBuffers, kvHeads: number): Dispatch;
}

/** Counts, for each position, the kv heads whose cache still holds it. */
export async function createRetention(gpu: GpuContext, format: PageFormat): Promise<Retention> {
  const kernel = await gpu.kernel({
    label: "retention",
    code: [pagedConstants(format), ...pageCode("pages", format), code],
  });
  return {
    dispatch: (buffers, kvHeads) => kernel.dispatch(buffers, [WORKGROUPS, kvHeads]),
  };
}
