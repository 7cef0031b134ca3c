import code from "../../../shaders/pages/remember_block.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { BufferBinding, Dispatch } from "../../gpu/kernel.ts";
import { candidatesCode } from "../scoring/score-cache.ts";
import type { CacheShape } from "./cache-shape.ts";
import { pagedConstants } from "./page-code.ts";
import { headWorkgroup } from "./victim.ts";

export interface RememberBuffers {
  /** Uniform LayerShape. */
  readonly shape: BufferBinding;
  /** Uniform of lib/eviction. */
  readonly eviction: BufferBinding;
  readonly tables: BufferBinding;
  readonly lanes: BufferBinding;
  /** The layer's slab. */
  readonly pages: BufferBinding;
  /** The prompt block's scratch. */
  readonly chunk: BufferBinding;
}

/** Dispatches that come right before and right after a layer's block is taken in. */
export interface RememberBlock {
  before(buffers: RememberBuffers): Dispatch;
  after(buffers: RememberBuffers): Dispatch;
}

export async function createRememberBlock(
  gpu: GpuContext,
  shape: CacheShape,
): Promise<RememberBlock> {
  const create = (after: boolean) =>
    gpu.kernel({
      label: `remember_block${after ? " after" : ""}`,
      stage: "eviction",
      code: [
        pagedConstants(shape, { WORKGROUP: headWorkgroup(gpu, false), AFTER: after }),
        ...candidatesCode(shape, { kind: "block" }),
        code,
      ],
    });
  const [before, after] = await Promise.all([create(false), create(true)]);
  const dispatch =
    (kernel: typeof before) =>
    (buffers: RememberBuffers): Dispatch =>
      kernel.dispatch(buffers, [shape.headDim / 4, shape.kvHeads]);
  return { before: dispatch(before), after: dispatch(after) };
}
