import code from "../../../shaders/sampling/cap_logits.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants, wgslFloat } from "../../gpu/kernel.ts";

const GROUP = 256;

/** logits [M, vocabulary] = cap tanh(logits / cap), in place. */
export async function createCapLogits(
  gpu: GpuContext,
  { vocabulary, cap }: { vocabulary: number; cap: number },
): Promise<(logits: BufferBinding) => (rows: number) => Dispatch> {
  const kernel = await gpu.kernel({
    label: "cap_logits",
    code: [wgslConstants({ VOCABULARY: vocabulary }), `const CAP = ${wgslFloat(cap)};`, ...code],
  });
  return (logits) => {
    const one = kernel.dispatch({ logits }, [1]);
    return (rows) => ({ ...one, workgroups: [Math.ceil(vocabulary / GROUP), rows] });
  };
}
