import { Compressor } from "../cache/compressor.ts";
import { headKnowledge, possiblePolicy } from "../cache/head-knowledge.ts";
import { KvPool } from "../cache/kv-pool.ts";
import type { PolicyName } from "../cache/policies/index.ts";
import { PolicyKernels } from "../cache/policy-kernels.ts";
import { Scorer } from "../cache/scorer.ts";
import { loadLater } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import type { Gguf } from "../formats/gguf/gguf.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import { usualPlan } from "../kernels/products/product-plan.ts";
import { createSample, type Sample } from "../kernels/sampling/sample.ts";
import { blockRows } from "../model/buffers.ts";
import { type CacheKernels, compileCacheKernels } from "../model/cache-kernels.ts";
import { cacheShapeOf, type ModelConfig } from "../model/config.ts";
import type { BindStates } from "../model/state-steps.ts";
import { Transformer } from "../model/transformer.ts";
import { createParts } from "../model/transformer-parts.ts";
import type { TuningMode, TuningReport, TuningStore } from "../model/tuning.ts";
import { placeWeights, type UploadHooks } from "../model/weights.ts";
import type { Speculative } from "./chat/generate-options.ts";
import type { LoadedCalibration } from "./load-filters.ts";
import { Prompts } from "./steps/prompts.ts";
import { Runner } from "./steps/runner.ts";

/** Everything that lives on one device, and is lost with it. */
export interface DeviceState {
  readonly gpu: GpuContext;
  readonly pool: KvPool;
  readonly runner: Runner;
  readonly prompts: Prompts;
  readonly sample: Sample;
  /** How the kernels of the weight products were chosen. */
  readonly tuning: TuningReport;
}

export interface DeviceStateInputs {
  readonly source: ByteSource;
  readonly gguf: Gguf;
  readonly config: ModelConfig;
  /** Calibration of every layer, or undefined if the model has none. */
  readonly calibration: LoadedCalibration | undefined;
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
  /** Ready once a first token can be drawn: the kernels of later stages are then still being compiled. */
  readonly early?: boolean;
}

/** Kernels that need nothing but the model's numbers. */
export interface FirstKernels {
  readonly cacheKernels: Promise<CacheKernels>;
  /** Where some layers keep a state. */
  readonly states: Promise<BindStates> | undefined;
  readonly sampling: Promise<Sample>;
  /** To be called once a first token can be drawn: until then nothing that later tokens need is compiled. */
  loaded(): void;
}

const loadStates = () => loadLater("layers with states", () => import("../model/state-steps.ts"));

const loadExtension = () =>
  loadLater("this model's weights", () => import("../model/per-layer/extend.ts"));

/** Begins to compile them: the device's compiler should not wait for what else there is to do. */
export function compileFirst(
  gpu: GpuContext,
  { config, storage, early = false }: Pick<DeviceStateInputs, "config" | "storage" | "early">,
): FirstKernels {
  const loaded = early ? gpu.kernels.busy("load") : () => {};
  const sampling = createSample(gpu, { vocabulary: config.vocabulary });
  const cacheKernels = compileCacheKernels(gpu, cacheShapeOf(config, storage), config);
  const states =
    config.states.length > 0
      ? loadStates().then(({ compileStates }) => compileStates(gpu, config))
      : undefined;
  // Errors surface where the promises are awaited.
  for (const compiling of [sampling, cacheKernels, states]) compiling?.catch(() => {});
  return { cacheKernels, states, sampling, loaded };
}

export interface StateOptions extends UploadHooks {
  /** Kernels that are being compiled already. */
  readonly first?: FirstKernels;
  /** Frees the cache of a chat that does nothing: see `KvPoolOptions`. */
  readonly giveWay?: () => boolean;
}

/** Uploads the weights and builds pool, kernels and schedule on a device. */
export async function createDeviceState(
  gpu: GpuContext,
  inputs: DeviceStateInputs,
  { first = compileFirst(gpu, inputs), giveWay, ...hooks }: StateOptions = {},
): Promise<DeviceState> {
  const { source, gguf, config, calibration, memoryLimit, storage, early = false } = inputs;
  const { tuning: mode = "off", tuningStore } = inputs;
  const { layers, kvHeads, headDim } = config;
  const pool = new KvPool(gpu, cacheShapeOf(config, storage), {
    blockRows: blockRows(config),
    memoryLimit,
    headBudgets: calibration?.headBudgets,
    ...(giveWay && { giveWay }),
  });
  if (config.states.length > 0) pool.states = (await loadStates()).statePool(pool);
  const filterBuffer = gpu.ledger.storage("weights", "filters", layers * kvHeads * headDim * 4);
  if (calibration) gpu.write(filterBuffer, calibration.filters.values);
  const { cacheKernels, states, sampling } = first;
  const policies = new PolicyKernels(gpu, pool.shape);
  const policy = possiblePolicy(inputs.policy, calibration);
  const compressing = Compressor.create(pool, policies, blockRows(config));
  compressing.catch(() => {});
  if (!early) policies.made(policy);
  const { weights, fill } = await placeWeights(gpu, source, gguf, config, hooks);
  const stopping = new AbortController();
  const filled = fill(stopping.signal);
  filled.catch(() => {});
  let tuning: TuningReport = {
    mode: "off",
    source: "adapter",
    plan: usualPlan(gpu),
    timings: [],
    seconds: 0,
  };
  if (mode !== "off") {
    const { tuneProducts } = await loadLater("tuning", () => import("../model/tuning.ts"));
    // What is measured runs on the weights.
    await filled;
    tuning = await tuneProducts(gpu, config, weights, mode, tuningStore);
  }
  const building = createParts(
    { gpu, config, weights, plan: tuning.plan, pool, filters: filterBuffer },
    { compressor: compressing, kernels: cacheKernels, states },
  ).then(async (parts) =>
    config.layerwise ? (await loadExtension()).extend(parts, inputs) : parts,
  );
  const [parts, compressor, sample] = await Promise.all([
    building,
    compressing,
    sampling,
    filled,
  ]).catch((error) => {
    stopping.abort();
    throw error;
  });
  const transformer = new Transformer(parts);
  const scorer = new Scorer(pool, policies, {
    eviction: compressor.eviction,
    blocks: compressor.chunks,
    rows: transformer.buffers.rows,
    qkv: transformer.buffers.qkv,
    lse: transformer.buffers.lse,
    ropes: transformer.ropes,
    knowledge: headKnowledge(calibration, pool.shape, parts.frequencies),
    blockRows: blockRows(config),
  });
  const runner = new Runner(gpu, transformer, compressor, scorer);
  first.loaded();
  const evicting = policies.made(policy);
  if (!early) await evicting;
  return { gpu, pool, runner, prompts: new Prompts(runner), sample, tuning };
}
