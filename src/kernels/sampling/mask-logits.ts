import code from "../../../shaders/sampling/mask_logits.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants } from "../../gpu/kernel.ts";

/** Logits that a workgroup takes. */
const BLOCK = 2048;

export interface MaskBuffers {
  /** Uniform of `samplingWords`, which names the row. */
  sampling: BufferBinding;
  /** u32 [ceil(V / 32)]: token t is bit t % 32 of word t / 32. */
  mask: BufferBinding;
  /** f32 [rows, V]; updated. */
  logits: BufferBinding;
}

/** Takes tokens out of a row of logits: to be run before `createSample`'s dispatches. */
export type MaskLogits = (buffers: MaskBuffers) => Dispatch;

export async function createMaskLogits(
  gpu: GpuContext,
  { vocabulary }: { vocabulary: number },
): Promise<MaskLogits> {
  const kernel = await gpu.kernel({
    label: "mask_logits",
    code: [wgslConstants({ VOCABULARY: vocabulary }), code],
  });
  return (buffers) => kernel.dispatch(buffers, [Math.ceil(vocabulary / BLOCK)]);
}
