import { Compressor } from "../cache/compressor.ts";
import type { Calibration } from "../cache/filters-file.ts";
import { headBudgets } from "../cache/head-budgets.ts";
import { headKnowledge, possiblePolicy } from "../cache/head-knowledge.ts";
import { KvPool } from "../cache/kv-pool.ts";
import type { PolicyName } from "../cache/policies/index.ts";
import { compileScoring, Scorer } from "../cache/scorer.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { Gguf } from "../formats/gguf.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { KvStorage } from "../kernels/page-format.ts";
import { setProductPlan } from "../kernels/product-plan.ts";
import { createSample, type Sample } from "../kernels/sample.ts";
import { blockRows, DECODE_ROWS } from "../model/buffers.ts";
import { cacheShapeOf, type ModelConfig } from "../model/config.ts";
import { compileCacheKernels, Transformer } from "../model/transformer.ts";
import { tuneProducts } from "../model/tune-products.ts";
import { type TuningMode, type TuningReport, type TuningStore, untuned } from "../model/tuning.ts";
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
  /** Of every layer, or undefined where the model has none. */
  readonly calibration: Calibration | undefined;
  /** The policy that conversations ask for to begin with: prepared at once. */
  readonly policy: PolicyName;
  readonly memoryLimit: number;
  /** How kernels are chosen. Default "off": by the adapter's kind. */
  readonly tuning?: TuningMode;
  readonly tuningStore?: TuningStore | undefined;
  /** Default of a request's `speculative`. */
  readonly speculative?: Speculative;
  /** How pages hold keys and values. */
  readonly storage: KvStorage;
}

/** Uploads the weights and builds pool, kernels and schedule on a device. */
export async function createDeviceState(
  gpu: GpuContext,
  {
    source,
    gguf,
    config,
    calibration,
    policy,
    memoryLimit,
    storage,
    tuning: mode = "off",
    tuningStore,
  }: DeviceStateInputs,
  hooks: UploadHooks = {},
): Promise<DeviceState> {
  const { layers, kvHeads, headDim, vocabulary } = config;
  const pool = new KvPool(gpu, cacheShapeOf(config, storage), blockRows(config), memoryLimit);
  const filterBuffer = gpu.ledger.storage("weights", "filters", layers * kvHeads * headDim * 4);
  if (calibration) gpu.write(filterBuffer, calibration.filters.values);
  // What does not depend on the weights is compiled while they come.
  const cacheKernels = compileCacheKernels(gpu, pool.shape, config);
  const compressing = Compressor.create(pool, blockRows(config));
  const sampling = createSample(gpu, { vocabulary });
  const started = possiblePolicy(policy, calibration);
  const scoring = compileScoring(gpu, pool.shape, started);
  for (const compiling of [cacheKernels, compressing, sampling, scoring]) compiling.catch(() => {});
  const weights = await loadWeights(gpu, source, gguf, config, hooks);
  const tuning =
    mode === "off" ? untuned(gpu) : await tuneProducts(gpu, config, weights, mode, tuningStore);
  setProductPlan(gpu, tuning.plan);
  const [transformer, compressor, sample] = await Promise.all([
    Transformer.create(gpu, config, weights, pool, compressing, cacheKernels, filterBuffer),
    compressing,
    sampling,
  ]);
  const loss = calibration?.statistics.headLoss;
  if (loss)
    pool.headBudgets = ({ budget, window, sinks, wholeLayers }) =>
      budget === "full"
        ? undefined
        : headBudgets(loss, kvHeads, {
            budget,
            least: window + sinks + 1,
            governed: config.windows.map((span, layer) => span === 0 && layer >= wholeLayers),
          });
  const scorer = new Scorer(pool, {
    eviction: compressor.eviction,
    block: compressor.chunk,
    rows: transformer.buffers.rows,
    qkv: transformer.buffers.qkv,
    ropes: transformer.ropes,
    knowledge: headKnowledge(calibration, pool.shape, transformer.frequencies),
    stepRows: DECODE_ROWS,
    blockRows: blockRows(config),
  });
  const runner = new Runner(gpu, transformer, compressor, scorer);
  await runner.prepare(started);
  return { gpu, pool, runner, sample, tuning };
}
