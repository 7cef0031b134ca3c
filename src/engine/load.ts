import { decideSettings } from "../cache/byte-budget.ts";
import { type CacheOptions, DEFAULTS } from "../cache/cache-options.ts";
import { assume, loadLater, throwIfAborted, WinnowError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { parseModel } from "../formats/parse-model.ts";
import { type GpuContext, openGpu } from "../gpu/context.ts";
import { misfit } from "../gpu/memory.ts";
import { beginLoading } from "../kernels/by-adapter.ts";
import { compileSample } from "../kernels/sampling/sample.ts";
import { architectureOf } from "../model/architectures.ts";
import { cacheShapeOf, readConfig } from "../model/config.ts";
import { findTensors } from "../model/tensors.ts";
import type { TuningMode, TuningStore } from "../model/tuning.ts";
import { createTokenizer } from "../text/create-tokenizer.ts";
import type { TokenizerLike } from "../text/external-tokenizer.ts";
import { readVocabulary } from "../text/gguf/gguf-vocabulary.ts";
import { createChatTemplate } from "../text/template/chat-template.ts";
import type { ChatTemplate } from "../text/types.ts";
import { CacheHolders } from "./cache-holders.ts";
import { calibrationOf } from "./calibration-of.ts";
import type { Speculative } from "./chat/generate-options.ts";
import { EngineCore } from "./core.ts";
import { DeviceHost } from "./device-host.ts";
import { withDefaultBudget } from "./memory/default-budget.ts";
import { footprint } from "./memory/footprint.ts";
import { compileFirst, createDeviceState, type DeviceStateInputs } from "./state.ts";

/** Stages of loading that the engine itself goes through. */
export type EngineStage = "upload" | "compile" | "ready";

export interface EngineLoadOptions {
  /** The GGUF's bytes; reads may wait for a download. */
  source: ByteSource;
  /** For people. */
  name: string;
  /** Hash of the model file, if it is known. Filters that name another one are refused. */
  sha256?: string;
  /** What loading has to say about the model's file: the first of `info().notices`. */
  notices?: readonly string[];
  cache?: CacheOptions;
  /** Pairs per head to begin with, where `cache` names no bound; fewer where memory has no room for them. Default 512. */
  budget?: number;
  /** Bytes of a filters file (safetensors). */
  filters?: Uint8Array;
  /** GPU bytes that may be used. Default: no limit but the adapter's. */
  memoryLimit?: number;
  tokenizer?: TokenizerLike;
  /** Default "lookup". */
  speculative?: Speculative;
  /** Default: "fast" on a GPU where there is a store to remember in, else "off". */
  tuning?: TuningMode;
  tuningStore?: TuningStore | undefined;
  /**
   * Resolve once a first token can be drawn, while what later ones need is still being compiled: those who reach for
   * `internals` must then wait for it. Conversations do.
   */
  early?: boolean;
  onProgress?: (progress: { stage: EngineStage; loaded: number; total: number }) => void;
  signal?: AbortSignal;
}

/** A model on a device. */
export interface Loaded {
  readonly core: EngineCore;
  /** The cache that conversations begin with. */
  readonly cache: CacheOptions;
  /** Number of weights. */
  readonly parameters: number;
  /** Throws unsupported_model for a model without one. */
  readonly makeTemplate: () => ChatTemplate;
  /** Hash of the model file that the filters were made from, if there are any and they name it. */
  readonly calibratedFor: string | undefined;
}

/** See `InferenceEngine.load`. */
export async function loadModel(gpu: GPU | undefined, options: EngineLoadOptions): Promise<Loaded> {
  const context = await openGpu(gpu);
  beginLoading(context.kind);
  try {
    return await loadOn(gpu, context, options);
  } catch (error) {
    context.destroy();
    throw error;
  }
}

async function loadOn(
  gpu: GPU | undefined,
  context: GpuContext,
  options: EngineLoadOptions,
): Promise<Loaded> {
  const { source, signal, onProgress, memoryLimit = Number.POSITIVE_INFINITY } = options;
  assume(memoryLimit > 0, () => `memoryLimit is ${memoryLimit}`);
  const { cache: asked = {}, budget = DEFAULTS.budget } = options;
  const { kv: storage = "f16" } = asked;
  const templates = loadLater("chat templates", () => import("../text/jinja.ts"));
  templates.catch(() => {});
  // Begun now, since the compiler would wait for the header. Errors surface where the kernels are awaited.
  compileSample(context).catch(() => {});
  const gguf = await parseModel(source, signal ? { signal } : {});
  const config = readConfig(gguf, await architectureOf(gguf));
  const { early = false } = options;
  const first = compileFirst(context, { config, storage, early });
  const tokenizer = options.tokenizer
    ? (
        await loadLater("tokenizers of others", () => import("../text/external-tokenizer.ts"))
      ).createExternalTokenizer(options.tokenizer, gguf.metadata)
    : await createTokenizer(gguf.metadata);
  const calibration =
    options.filters && (await calibrationOf(options.filters, config, options.sha256));
  const basis = {
    shape: cacheShapeOf(config, storage),
    headBudgets: calibration?.headBudgets,
  };
  const tensors = findTensors(source, gguf, config);
  const excess = (request: CacheOptions): WinnowError | undefined => {
    const settings = decideSettings(basis, request);
    return misfit("the model", footprint(tensors, config, settings, storage), memoryLimit);
  };
  const cache = withDefaultBudget(asked, budget, (request) => !excess(request));
  const refused = excess(cache);
  if (refused) throw refused;

  const { policy = DEFAULTS.policy } = cache;
  // On software adapters compiling the variants would cost more than the best of them saves.
  const measurable = options.tuningStore && context.kind === "gpu";
  const tuning = options.tuning ?? (measurable ? "fast" : undefined);
  const inputs: DeviceStateInputs = {
    source,
    gguf,
    config,
    calibration,
    policy,
    memoryLimit,
    storage,
    early,
    ...(options.speculative && { speculative: options.speculative }),
    ...(tuning && { tuning, tuningStore: options.tuningStore }),
  };
  context.device.pushErrorScope("out-of-memory");
  const holders = new CacheHolders();
  const state = await createDeviceState(context, inputs, {
    onProgress: (loaded, total) => onProgress?.({ stage: "upload", loaded, total }),
    ...(signal ? { signal } : {}),
    first,
    giveWay: holders.giveWay,
  });
  const failure = await context.device.popErrorScope();
  if (failure) {
    throw new WinnowError(
      "out_of_memory",
      `the GPU ran out of memory while loading: ${failure.message}`,
      {
        hint: "Close other tabs, lower the cache budget, or use a smaller model.",
      },
    );
  }
  const jinja = await templates;
  throwIfAborted(signal);
  onProgress?.({ stage: "ready", loaded: 1, total: 1 });
  let parameters = 0;
  for (const { shape } of gguf.tensors.values())
    parameters += shape.reduce((product, n) => product * n, 1);
  const host = new DeviceHost(gpu, inputs, state, holders.giveWay);
  const core = new EngineCore(host, holders, tokenizer, cache.kv !== undefined);
  core.notices.push(...(options.notices ?? []), ...gguf.notices, ...(tokenizer.notices ?? []));
  core.withPolicy(cache);
  if (cache !== asked && cache.budget !== budget)
    core.notice(
      `The cache keeps ${cache.budget} pairs per head, since the memory limit leaves no room for ${budget}.`,
    );
  return {
    core,
    cache,
    parameters,
    makeTemplate: () => createChatTemplate(gguf.metadata, readVocabulary(gguf.metadata), jinja),
    calibratedFor: calibration?.filters.modelSha256,
  };
}
