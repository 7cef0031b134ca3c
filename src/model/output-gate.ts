/** Gates of what attention's heads find: attended *= sigmoid(norm(hidden) Wgate). Loaded where a family has them. */
import type { GpuContext } from "../gpu/context.ts";
import { createGateHeads } from "../kernels/attention/gate-heads.ts";
import { type BoundLinear, createLinear, type LinearConfig } from "../kernels/products/linear.ts";
import type { StepBuffers } from "./buffers.ts";
import type { ModelConfig } from "./config.ts";
import type { LayerWeights } from "./weights.ts";

type GateBuffers = Pick<StepBuffers, "batch" | "hidden" | "normed" | "attended"> & {
  /** f32 [M, H D], scratch */
  readonly gates: GPUBuffer;
};

/** Compiles the gate of a layer; `few` as of its other products. */
export async function createGate(
  gpu: GpuContext,
  { heads, headDim, normEpsilon }: ModelConfig,
  { more, attentionNorm }: LayerWeights,
  few: Pick<LinearConfig, "shape" | "asAlone" | "fewRows">,
): Promise<(buffers: GateBuffers) => BoundLinear> {
  const [product, multiply] = await Promise.all([
    createLinear(gpu, {
      matrix: more!.gate!,
      epilogue: "store",
      norm: { gain: attentionNorm, epsilon: normEpsilon },
      ...few,
    }),
    createGateHeads(gpu, heads * headDim),
  ]);
  return ({ batch, hidden, normed, attended, gates }) => {
    const made = product.bind({ batch, x: hidden, y: gates, normed });
    const used = multiply({ batch, gates, attended });
    return { dispatches: (rows, alike) => [...made.dispatches(rows, alike), used(rows)] };
  };
}
