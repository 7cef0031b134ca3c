import type { CacheSettings } from "../../cache/budget.ts";
import { policyOf } from "../../cache/policies/index.ts";
import { featureScoring } from "../../cache/policies/policy.ts";
import { mostStateBytes } from "../../cache/state-bytes.ts";
import type { ModelEntry } from "../../fetch/resolve/model-registry.ts";
import type { Footprint } from "../../gpu/memory.ts";
import { pagesFor, pageWords } from "../../kernels/pages/cache-shape.ts";
import { movesBytes } from "../../kernels/pages/eviction.ts";
import { type KvStorage, scratchBytes } from "../../kernels/pages/page-format.ts";
import { layoutOfType } from "../../kernels/products/weight-layouts.ts";
import type { TensorSource } from "../../kernels/products/weight-sections.ts";
import { headStride } from "../../kernels/scoring/head-data.ts";
import { headDataShape } from "../../kernels/scoring/score-features.ts";
import { blockRows, stepBufferBytes } from "../../model/buffers.ts";
import { cacheShapeOf, type ModelConfig } from "../../model/config.ts";
import { ropeTables } from "../../model/rope-tables.ts";
import type { ModelTensors } from "../../model/tensors.ts";
import type { Vector } from "../../model/vector.ts";

/** What decides how many pages a cache takes. */
type Cached = Pick<ModelConfig, "windows" | "kvHeads" | "headDim" | "contextLength"> & {
  /** Bytes of the states of a sequence. Default 0. */
  readonly stateBytes?: number;
};
type Kept = Pick<CacheSettings, "budget" | "wholeLayers">;

/**
 * Bytes of the states of a sequence, and of its pages whose heads hold their budget, or their window, or in layers kept whole as many
 * pairs as the model has positions. A cache whose budget has no end grows with the chat: it begins with a page per head.
 */
export function cacheBytes(
  { windows, kvHeads, headDim, contextLength, stateBytes = 0 }: Cached,
  { budget, wholeLayers }: Kept,
  storage: KvStorage = "f16",
): number {
  const most = (layer: number): number => {
    if (budget === "full") return 1;
    return layer < wholeLayers ? contextLength : budget;
  };
  const pages = windows.reduce((sum, window, layer) => sum + pagesFor(window || most(layer)), 0);
  return pages * kvHeads * pageWords({ headDim, storage }) * 4 + stateBytes;
}

/** The same of a model: a sequence has its state, and those that it could go back to. */
export const modelCacheBytes = (config: ModelConfig, kept: Kept, storage: KvStorage): number =>
  cacheBytes(
    { ...config, stateBytes: mostStateBytes(cacheShapeOf(config, storage)) },
    kept,
    storage,
  );

/** Bytes of the prompt block's scratch. */
export const blockBytes = (config: ModelConfig, storage: KvStorage): number =>
  scratchBytes({ headDim: config.headDim, storage }, config.kvHeads, blockRows(config));

/**
 * GPU bytes of a known model, before anything is fetched: its file for the weights, and no activations, which are some
 * tens of MB. The catalogue does not say which layers have a sliding window. Taken as the first, they leave the fewest to
 * be kept whole, so nothing is refused that fits.
 */
export function catalogueFootprint(entry: ModelEntry, kept: Kept, storage?: KvStorage): Footprint {
  const { layers, windowLayers = 0, window = 0, stateBytes = 0, ...heads } = entry.cache;
  const windows = Array.from({ length: layers }, (_, layer) => (layer < windowLayers ? window : 0));
  const states = mostStateBytes({ stateWords: [stateBytes / 4] });
  const shape = { ...heads, windows, stateBytes: states, contextLength: entry.contextLength };
  const weights = entry.bytes - (entry.tableBytes ?? 0);
  return { weights, kv: cacheBytes(shape, kept, storage), activations: 0 };
}

/**
 * GPU bytes that a model with this cache will take, from the header alone: known before the weights are fetched. Left
 * out: what is small (uniforms, page tables), and tensors of several types that share a matrix and a layout.
 */
export function footprint(
  { ropeFactors: _, ...tensors }: ModelTensors,
  config: ModelConfig,
  settings: CacheSettings,
  storage: KvStorage = "f16",
): Footprint {
  const { layers, kvHeads, headDim, vocabulary } = config;
  const policy = policyOf(settings.policy);
  const stride = policy.scoring
    ? headStride(headDataShape(config, featureScoring(policy)?.features ?? {}))
    : 0;
  const heads = layers * kvHeads * (headDim + stride) * 4;
  const tables = [...ropeTables(config).values()];
  const rope = tables.reduce((sum, { byteLength }) => sum + byteLength, 0);
  const step = Object.values(stepBufferBytes(config)).reduce((sum, bytes) => sum + bytes, 0);
  const block = blockBytes(config, storage);
  const scratch = config.states[0]?.scratchBytes ?? 0;
  return {
    weights: repackedBytes(tensors) + heads + rope,
    kv: modelCacheBytes(config, settings, storage),
    activations:
      step +
      scratch +
      block +
      (config.architecture.extension?.extraBytes(config, storage) ?? 0) +
      movesBytes(kvHeads, blockRows(config)) +
      2 * vocabulary * 4,
  };
}

/** Bytes of all tensors that are loaded, once repacked for the GPU: in blocks of 32 weights of a row. */
function repackedBytes(tensors: object): number {
  let bytes = 0;
  for (const part of Object.values(tensors) as (Partial<TensorSource & Vector> | undefined)[]) {
    if (!part) continue;
    const { type, rows, cols, length } = part;
    if (type) {
      const words = layoutOfType(type).streams.reduce((sum, stream) => sum + stream.words, 0);
      bytes += rows! * Math.ceil(cols! / 32) * words * 4;
    } else bytes += part.read ? length! * 4 : repackedBytes(part);
  }
  return bytes;
}
