import type { CacheSettings } from "../cache/budget.ts";
import { pagesFor } from "../cache/kv-pool.ts";
import { WinnowError } from "../errors.ts";
import { GGML_TYPES } from "../formats/ggml-types.ts";
import type { Gguf } from "../formats/gguf.ts";
import { PAGE_SLOTS } from "../kernels/cache-shape.ts";
import { layoutOfType } from "../kernels/weight-layouts.ts";
import { stepBufferBytes } from "../model/buffers.ts";
import { kvBytesPerToken, type ModelConfig } from "../model/config.ts";

/** GPU bytes that a model with a cache of this budget will take. */
export interface MemoryPlan {
  readonly weights: number;
  readonly kv: number;
  readonly activations: number;
  readonly total: number;
}

/** Bytes of a tensor once repacked for the GPU. */
function repackedBytes(gguf: Gguf): number {
  let bytes = 0;
  for (const { type, shape } of gguf.tensors.values()) {
    const count = shape.reduce((product, n) => product * n, 1);
    const words = layoutOfType(type).streams.reduce((sum, stream) => sum + stream.words, 0);
    bytes += shape.length === 1 || GGML_TYPES[type].blockSize === 0 ? count * 4 : (count / 32) * words * 4;
  }
  return bytes;
}

/** Adds up what will be allocated, from the header alone: known before the weights are fetched. */
export function planMemory(gguf: Gguf, config: ModelConfig, { budget }: CacheSettings): MemoryPlan {
  const slots = budget === "full" ? PAGE_SLOTS : pagesFor(budget) * PAGE_SLOTS;
  const kv = slots * (kvBytesPerToken(config) + config.layers * config.kvHeads * 8);
  const weights = repackedBytes(gguf);
  const activations = Object.values(stepBufferBytes(config)).reduce((sum, bytes) => sum + bytes, 0);
  return { weights, kv, activations, total: weights + kv + activations };
}

/** Throws out_of_memory, in bytes, where the plan exceeds the limit. */
export function checkPlan(plan: MemoryPlan, memoryLimit: number): void {
  if (plan.total <= memoryLimit) return;
  throw new WinnowError(
    "out_of_memory",
    `the model needs ${plan.total} bytes of GPU memory (weights ${plan.weights}, cache ${plan.kv}, activations ${plan.activations}); the limit is ${memoryLimit}`,
    { hint: "Lower the cache budget, raise memoryLimit, or use a smaller model.", details: { ...plan, memoryLimit } },
  );
}
