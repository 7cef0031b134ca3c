import type { CacheSettings } from "../../cache/budget.ts";
import { policyOf } from "../../cache/policies/index.ts";
import { featureScoring } from "../../cache/policies/policy.ts";
import { WinnowError } from "../../errors.ts";
import type { Gguf } from "../../formats/gguf/gguf.ts";
import { movesBytes } from "../../kernels/pages/eviction.ts";
import type { KvStorage } from "../../kernels/pages/page-format.ts";
import { layoutOfType } from "../../kernels/products/weight-layouts.ts";
import { headStride } from "../../kernels/scoring/head-data.ts";
import { headDataShape } from "../../kernels/scoring/score-features.ts";
import { blockRows, stepBufferBytes } from "../../model/buffers.ts";
import type { ModelConfig } from "../../model/config.ts";
import { ropeTables } from "../../model/rope-tables.ts";
import { blockBytes, budgetBytes } from "../core.ts";

/** GPU bytes that a model with a cache of this budget will take. */
export interface MemoryPlan {
  readonly weights: number;
  readonly kv: number;
  readonly activations: number;
  readonly total: number;
}

/** Bytes of all tensors once repacked for the GPU: in blocks of 32 weights of a row. */
function repackedBytes(gguf: Gguf): number {
  let bytes = 0;
  for (const { type, shape } of gguf.tensors.values()) {
    const [columns = 1, ...rest] = shape;
    const rows = rest.reduce((product, n) => product * n, 1);
    const words = layoutOfType(type).streams.reduce((sum, stream) => sum + stream.words, 0);
    bytes += shape.length === 1 ? columns * 4 : rows * Math.ceil(columns / 32) * words * 4;
  }
  return bytes;
}

/**
 * Adds up what will be allocated, from the header alone: known before the weights are fetched. Left out:
 * what is small (uniforms, page tables), and tensors of several types that share a matrix and a layout.
 */
export function planMemory(
  gguf: Gguf,
  config: ModelConfig,
  settings: CacheSettings,
  storage: KvStorage = "f16",
): MemoryPlan {
  const { layers, kvHeads, headDim, vocabulary } = config;
  const kv = budgetBytes(config, storage, settings);
  const policy = policyOf(settings.policy);
  const stride = policy.scoring
    ? headStride(headDataShape(config, featureScoring(policy)?.features ?? {}))
    : 0;
  const heads = layers * kvHeads * (headDim + stride) * 4;
  const tables = [...ropeTables(config).values()];
  const rope = tables.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const weights = repackedBytes(gguf) + heads + rope;
  const step = Object.values(stepBufferBytes(config)).reduce((sum, bytes) => sum + bytes, 0);
  const rows = blockRows(config);
  const block = blockBytes(config, storage);
  const activations = step + block + movesBytes(kvHeads, rows) + 2 * vocabulary * 4;
  return { weights, kv, activations, total: weights + kv + activations };
}

/** Throws out_of_memory, in bytes, where the plan exceeds the limit. */
export function checkPlan(plan: MemoryPlan, memoryLimit: number): void {
  if (plan.total <= memoryLimit) return;
  throw new WinnowError(
    "out_of_memory",
    `the model needs ${plan.total} bytes of GPU memory (weights ${plan.weights}, cache ${plan.kv}, activations ${plan.activations}); the limit is ${memoryLimit}`,
    {
      hint: "Lower the cache budget, raise memoryLimit, or use a smaller model.",
      details: { ...plan, memoryLimit },
    },
  );
}
