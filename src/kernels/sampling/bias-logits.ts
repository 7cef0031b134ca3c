import code from "../../../shaders/sampling/bias_logits.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants } from "../../gpu/kernel.ts";

export interface BiasBuffers {
  /** Uniform of `samplingWords`, which names the row. */
  sampling: BufferBinding;
  /** u32 [n, 2]: see `biasWords`. */
  biases: BufferBinding;
  /** f32 [rows, V]; updated. */
  logits: BufferBinding;
}

/** Adds biases to a row of logits: to be run before a mask and the draw. */
export type BiasLogits = (buffers: BiasBuffers, count: number) => Dispatch;

export async function createBiasLogits(
  gpu: GpuContext,
  { vocabulary }: { vocabulary: number },
): Promise<BiasLogits> {
  const kernel = await gpu.kernel({
    label: "bias_logits",
    code: [wgslConstants({ VOCABULARY: vocabulary }), code],
  });
  return (buffers, count) => kernel.dispatch(buffers, [Math.ceil(count / 64)]);
}

/** The bias from which on a token is drawn before all others, or after them: far beyond any logit, and within f32. */
export const DECISIVE = 100;

/**
 * What is added for a bias of a request. A ban is less than a mask, so that a token that alone fits a format is drawn
 * all the same; what is forced keeps its logit to 1e-4.
 */
export const addedBias = (bias: number): number => {
  if (bias <= -DECISIVE) return -1e30;
  return bias >= DECISIVE ? 1000 : bias;
};

/** Contents of `biases`: (token, f32 bits). */
export function biasWords(biases: ReadonlyMap<number, number>): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(2 * biases.size);
  const values = new Float32Array(words.buffer);
  [...biases].forEach(([token, bias], i) => {
    words[2 * i] = token;
    values[2 * i + 1] = addedBias(bias);
  });
  return words;
}
