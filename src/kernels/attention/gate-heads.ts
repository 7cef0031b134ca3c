import code from "../../../shaders/attention/gate_heads.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants } from "../../gpu/kernel.ts";

const GROUP = 64;

export interface GateBuffers {
  /** Uniform Batch. */
  readonly batch: BufferBinding;
  /** f32 [M, width] */
  readonly gates: BufferBinding;
  /** f32 [M, width] */
  readonly attended: BufferBinding;
}

/** attended *= sigmoid(gates), for rows of `width` f32, a multiple of 4. */
export async function createGateHeads(
  gpu: GpuContext,
  width: number,
): Promise<(buffers: GateBuffers) => (rows: number) => Dispatch> {
  const kernel = await gpu.kernel({
    label: "gate_heads",
    code: [wgslConstants({ WIDTH4: width / 4 }), ...code],
  });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => ({ ...one, workgroups: [Math.ceil(width / 4 / GROUP), rows] });
  };
}
