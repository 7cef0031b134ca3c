import { Compressor } from "../cache/compressor.ts";
import { KvPool } from "../cache/kv-pool.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { Gguf } from "../formats/gguf.ts";
import type { GpuContext } from "../gpu/context.ts";
import { setProductPlan } from "../kernels/product-plan.ts";
import { createSample, type Sample } from "../kernels/sample.ts";
import { CHUNK_ROWS } from "../model/buffers.ts";
import { cacheShapeOf, type ModelConfig } from "../model/config.ts";
import { compileCacheKernels, Transformer } from "../model/transformer.ts";
import {
  type TuningMode,
  type TuningReport,
  type TuningStore,
  tuneProducts,
} from "../model/tune-products.ts";
import { loadWeights, type UploadHooks } from "../model/weights.ts";
import type { Speculative } from "./generate-options.ts";
import { Runner } from "./runner.ts";

/** Everything that lives on one device, and is lost with it. */
export interface DeviceState {
  readonly gpu: GpuContext;
  readonly pool: KvPool;
  readonly runner: Runner;
  readonly sample: Sample;
  /** How the kernels of the weight products were chosen. */
  readonly tuning: TuningReport;
}

export interface DeviceStateInputs {
  readonly source: ByteSource;
  readonly gguf: Gguf;
  readonly config: ModelConfig;
  /** [L, G, D], or undefined where the model has none. */
  readonly filters: Float32Array | undefined;
  readonly memoryLimit: number;
  /** How kernels are chosen. Default "off": by the adapter's kind. */
  readonly tuning?: TuningMode;
  readonly tuningStore?: TuningStore | undefined;
  /** Default of a request's `speculative`. */
  readonly speculative?: Speculative;
}

/** Uploads the weights and builds pool, kernels and schedule on a device. */
export async function createDeviceState(
  gpu: GpuContext,
  {
    source,
    gguf,
    config,
    filters,
    memoryLimit,
    tuning: mode = "off",
    tuningStore,
  }: DeviceStateInputs,
  hooks: UploadHooks = {},
): Promise<DeviceState> {
  const { layers, kvHeads, headDim, vocabulary } = config;
  const pool = new KvPool(gpu, cacheShapeOf(config), CHUNK_ROWS, memoryLimit);
  const filterBuffer = gpu.ledger.storage("weights", "filters", layers * kvHeads * headDim * 4);
  if (filters) gpu.write(filterBuffer, filters);
  // What does not depend on the weights is compiled while they come.
  const cacheKernels = compileCacheKernels(gpu, pool.shape, config);
  const compressing = Compressor.create(pool, filterBuffer, CHUNK_ROWS);
  const sampling = createSample(gpu, { vocabulary });
  for (const compiling of [cacheKernels, compressing, sampling]) compiling.catch(() => {});
  const weights = await loadWeights(gpu, source, gguf, config, hooks);
  const tuning = await tuneProducts(gpu, config, weights, mode, tuningStore);
  setProductPlan(gpu, tuning.plan);
  const [transformer, compressor, sample] = await Promise.all([
    Transformer.create(gpu, config, weights, pool, compressing, cacheKernels, filterBuffer),
    compressing,
    sampling,
  ]);
  return { gpu, pool, runner: new Runner(gpu, transformer, compressor), sample, tuning };
}
