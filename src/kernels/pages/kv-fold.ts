import code from "../../../shaders/pages/kv_fold.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { BufferBinding, Dispatch } from "../../gpu/kernel.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import type { PageFormat } from "./page-format.ts";
import { headWorkgroup } from "./victim.ts";

/** Workgroups per kv head; each takes every 32nd slot. */
const WORKGROUPS = 32;

export interface KvFoldBuffers {
  /** Uniform LayerShape. */
  shape: BufferBinding;
  /** Uniform of 4 words whose first is the lane (an `eviction` uniform will do). */
  lane: BufferBinding;
  /** Lane records; the lane's counts the fold that is to be carried out. */
  lanes: BufferBinding;
  tables: BufferBinding;
  /** The layer's slab. */
  pages: BufferBinding;
  /** The layer's RoPE table. */
  rope_table: BufferBinding;
}

export interface KvFold {
  /** Turns the keys of one layer and lane to where they stand after the lane's latest fold. */
  dispatch(buffers: KvFoldBuffers, kvHeads: number): Dispatch;
}

/** Carries out a fold of positions (fold.ts) on what is cached. */
export async function createKvFold(gpu: GpuContext, format: PageFormat): Promise<KvFold> {
  const workgroup = headWorkgroup(gpu, false);
  const kernel = await gpu.kernel({
    label: "kv_fold",
    code: [
      pagedConstants(format, { WORKGROUP: workgroup, SUMMED: workgroup }),
      ...pageCode("pages", format, "read words", "write words"),
      code,
    ],
    stage: "eviction",
  });
  return {
    dispatch: (buffers, kvHeads) => kernel.dispatch(buffers, [WORKGROUPS, kvHeads]),
  };
}
