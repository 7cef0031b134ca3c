import code from "../../shaders/nll.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import type { Kernel } from "../gpu/kernel.ts";

/** Bindings: { V, out, 0, 0 }, logits [M, V], targets [M], nll. Workgroups: (M). */
export function createNll(gpu: GpuContext): Promise<Kernel> {
  return gpu.kernel({ label: "nll", code: [code], bindings: ["uniform", "read", "read", "write"] });
}
