import drawnCode from "../../../shaders/sampling/drawn_logit.wgsl";
import code from "../../../shaders/sampling/top_logits.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants } from "../../gpu/kernel.ts";
import { shaderStruct } from "../../gpu/shader-struct.ts";
import { SAMPLED_RING } from "./sample.ts";
import type { TokenScores } from "./token-scores.ts";

/** Most of the highest logits that are told. */
export const MOST_TOP = 20;
/** Words per row of `scores`. */
export const SCORE_WORDS = 2 + 2 * MOST_TOP;

/** The `highest` uniform: how many of the highest logits are wanted. */
export const TOP = shaderStruct<"count">(code, "Top");

export interface TopLogitsBuffers {
  /** Uniform of `samplingWords`, which names the row. */
  sampling: BufferBinding;
  highest: BufferBinding;
  /** f32 [rows, V]. */
  logits: BufferBinding;
  /** As of `createSample`. */
  sampled: BufferBinding;
  /** u32 [rows, SCORE_WORDS]: see `readScores`. */
  scores: BufferBinding;
}

export interface TopLogits {
  /** To be run before anything changes the row. */
  before(buffers: TopLogitsBuffers): Dispatch;
  /** To be run behind the draw. */
  behind(buffers: TopLogitsBuffers): Dispatch;
}

export async function createTopLogits(
  gpu: GpuContext,
  { vocabulary }: { vocabulary: number },
  workgroup = gpu.kind === "cpu" ? 16 : 256,
): Promise<TopLogits> {
  const constants = wgslConstants({
    VOCABULARY: vocabulary,
    WORKGROUP: workgroup,
    ENTRY: SCORE_WORDS,
    RING: SAMPLED_RING,
  });
  const [top, drawn] = await Promise.all([
    gpu.kernel({ label: "top_logits", code: [constants, code] }),
    gpu.kernel({ label: "drawn_logit", code: [constants, drawnCode] }),
  ]);
  return {
    before: (buffers) => top.dispatch(buffers, [1]),
    behind: (buffers) => drawn.dispatch(buffers, [1]),
  };
}

/** A row of `scores`; `bias`: what was added to the drawn token's logit. */
export function readScores(words: Uint32Array, bias = 0): TokenScores {
  const values = new Float32Array(words.buffer, words.byteOffset, words.length);
  const sum = values[0]!;
  const top: { token: number; logprob: number }[] = [];
  for (let at = 2; at + 1 < words.length && words[at]! < NO_INDEX; at += 2)
    top.push({ token: words[at]!, logprob: bounded(values[at + 1]! - sum) });
  return { logprob: bounded(values[1]! - bias - sum), top };
}

const NO_INDEX = 0x7fffffff;
/** OpenAI's value of what is very unlikely; JSON has none for less than all numbers. */
const bounded = (logprob: number): number => Math.min(0, Math.max(-9999, logprob));
