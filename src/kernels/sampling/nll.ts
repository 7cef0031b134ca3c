import code from "../../../shaders/sampling/nll.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type Kernel, wgslConstants } from "../../gpu/kernel.ts";
import { shaderStruct } from "../../gpu/shader-struct.ts";

/** The `params` uniform: V, and where the first loss goes. */
export const NLL = shaderStruct<"vocabulary" | "out">(code, "Nll");

/** Workgroups: (M). */
export function createNll(
  gpu: GpuContext,
  workgroup = gpu.kind === "cpu" ? 16 : 256,
): Promise<Kernel> {
  return gpu.kernel({
    label: "nll",
    code: [wgslConstants({ WORKGROUP: workgroup }), code],
  });
}
