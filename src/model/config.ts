import { WinnowError } from "../errors.ts";
import {
  type Gguf,
  getBooleanArray,
  getNumber,
  getString,
  tensorNamed,
} from "../formats/gguf/gguf.ts";
import type { CacheShape } from "../kernels/pages/cache-shape.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import { type Architecture, architectureNamed } from "./architectures.ts";
import { type Block, readBlocks, type StateLayer, stateWords } from "./blocks.ts";
import { bad, checkEntries, sameForAll } from "./config-fields.ts";

/** The numbers that shape a model; letters as in ARCHITECTURE.md. */
export interface ModelConfig {
  readonly architecture: Architecture;
  readonly name: string;
  /** L: the layers that hold keys and values. */
  readonly layers: number;
  /** Every layer, in order: one of the L, or one of `states`. */
  readonly blocks: readonly Block[];
  /** The layers that keep a state in place of keys and values. */
  readonly states: readonly StateLayer[];
  /** H */
  readonly heads: number;
  /** G */
  readonly kvHeads: number;
  /** D */
  readonly headDim: number;
  /** E */
  readonly hidden: number;
  /** F */
  readonly mlp: number;
  /** V */
  readonly vocabulary: number;
  readonly contextLength: number;
  readonly normEpsilon: number;
  /** RoPE of global layers: base, and what frequencies are divided by (linear scaling). */
  readonly ropeBase: number;
  readonly ropeDivisor: number;
  /** RoPE base of layers with a sliding window. */
  readonly localRopeBase: number;
  /** [L]: tokens a layer with a sliding window sees, 0 for a global one. */
  readonly windows: readonly number[];
  /** The factor of query times key; 1 / sqrt(D) but for a few models. */
  readonly attentionScale: number;
  /** The head is the embedding matrix. */
  readonly tiedHead: boolean;
}

/** Reads and checks the configuration. Throws unsupported_model or bad_model_file, naming the field. */
export function readConfig(gguf: Gguf): ModelConfig {
  const architecture = architectureNamed(getString(gguf, "general.architecture"));
  const prefix = architecture.name;
  const whole = (key: string, highest: number, fallback?: number): number => {
    const value = sameForAll(gguf, `${prefix}.${key}`, fallback);
    if (!Number.isInteger(value) || value < 1 || value > highest)
      throw bad(`${prefix}.${key}`, `must be a whole number from 1 to ${highest}, found ${value}`);
    return value;
  };
  const blockCount = whole("block_count", 1024);
  const heads = whole("attention.head_count", 1024);
  const { kvHeads, blocks, states } = readBlocks(gguf, architecture, blockCount, heads);
  const layers = blockCount - states.length;
  const hidden = whole("embedding_length", 1 << 17);
  const headDim = whole("attention.key_length", 1024, Math.floor(hidden / heads));
  const mlp = whole("feed_forward_length", 1 << 20);
  const contextLength = whole("context_length", 1 << 24);
  const embedding = tensorNamed(gguf, "token_embd.weight");
  if (!embedding) throw bad("token_embd.weight", "the tensor is missing");
  const vocabulary = embedding.shape[1] ?? 0;
  if (heads % kvHeads !== 0)
    throw bad(`${prefix}.attention.head_count_kv`, `${kvHeads} does not divide ${heads} heads`);
  if (headDim % 8 !== 0 || headDim > 256) {
    throw new WinnowError(
      "unsupported_model",
      `head dimension ${headDim}: Winnow takes multiples of 8 up to 256`,
      {
        details: { field: `${prefix}.attention.key_length`, value: headDim },
      },
    );
  }
  const ropeDivisor = readRope(gguf, prefix, whole("rope.dimension_count", 1024, headDim), headDim);
  const normEpsilon = getNumber(gguf, `${prefix}.attention.layer_norm_rms_epsilon`);
  const ropeBase = getNumber(gguf, `${prefix}.rope.freq_base`, 10000);
  if (!(normEpsilon > 0 && normEpsilon < 1))
    throw bad(`${prefix}.attention.layer_norm_rms_epsilon`, `found ${normEpsilon}`);
  if (!(ropeBase > 1 && Number.isFinite(ropeBase)))
    throw bad(`${prefix}.rope.freq_base`, `found ${ropeBase}`);
  const { windows, localRopeBase } = readSliding(gguf, architecture, layers);
  const usualScale = 1 / Math.sqrt(headDim);
  const attentionScale = getNumber(gguf, `${prefix}.attention.scale`, usualScale);
  if (!(attentionScale > 0 && attentionScale <= 1))
    throw bad(`${prefix}.attention.scale`, `found ${attentionScale}`);
  if (attentionScale !== usualScale && !architecture.qkNorm) {
    throw new WinnowError(
      "unsupported_model",
      `${prefix}.attention.scale: ${attentionScale} where ${usualScale} is usual`,
      { details: { field: `${prefix}.attention.scale`, value: attentionScale } },
    );
  }
  for (const field of ["attn_logit_softcapping", "final_logit_softcapping"]) {
    if (!gguf.metadata.has(`${prefix}.${field}`)) continue;
    throw new WinnowError("unsupported_model", `${prefix}.${field}: Winnow caps no logits`, {
      details: { field: `${prefix}.${field}` },
    });
  }
  return {
    architecture,
    name: getString(gguf, "general.name", prefix),
    layers,
    blocks,
    states,
    heads,
    kvHeads,
    headDim,
    hidden,
    mlp,
    vocabulary,
    contextLength,
    normEpsilon,
    ropeBase,
    ropeDivisor,
    localRopeBase,
    windows,
    attentionScale,
    tiedHead: tensorNamed(gguf, "output.weight") === undefined,
  };
}

/**
 * What the frequencies of RoPE are divided by. A factor without a type means linear scaling, as in llama.cpp.
 * @throws unsupported_model for another scaling than linear, or RoPE over a part of the head.
 */
function readRope(gguf: Gguf, prefix: string, rotated: number, headDim: number): number {
  const { metadata } = gguf;
  const key = (name: string) => `${prefix}.rope.${name}`;
  const type = metadata.get(key("scaling.type")) ?? "linear";
  const attention = getNumber(gguf, key("scaling.attn_factor"), 1);
  if (rotated !== headDim || (type !== "none" && type !== "linear") || attention !== 1) {
    const scaled = attention === 1 ? "" : ` and attention factor ${attention}`;
    throw new WinnowError(
      "unsupported_model",
      `RoPE over ${rotated} of ${headDim} dimensions with scaling "${String(type)}"${scaled}`,
      {
        hint: "Winnow takes RoPE over the whole head, plain or with linear scaling.",
        details: { field: `${prefix}.rope` },
      },
    );
  }
  if (type === "none") return 1;
  // Files from before 2024 have scale_linear. Zero says that there is none.
  const field = key(metadata.has(key("scaling.factor")) ? "scaling.factor" : "scale_linear");
  const factor = getNumber(gguf, field, 1) || 1;
  if (factor < 0) throw bad(field, `found ${factor}`);
  return factor;
}

/** Which layers have a sliding window, and their RoPE base. */
function readSliding(
  gguf: Gguf,
  { name, sliding }: Architecture,
  layers: number,
): Pick<ModelConfig, "windows" | "localRopeBase"> {
  const field = `${name}.attention.sliding_window`;
  const window = gguf.metadata.has(field) ? getNumber(gguf, field) : 0;
  if (!Number.isInteger(window) || window < 0 || window > 1 << 24)
    throw bad(field, `must be a whole number, found ${window}`);
  if (!sliding) {
    // Qwen 2's converter writes it down where the model does not use it.
    return { windows: new Array<number>(layers).fill(0), localRopeBase: 10_000 };
  }
  if (window === 0) throw bad(field, "is missing");
  const isLocal = slidingPattern(gguf, `${field}_pattern`, sliding.pattern, layers);
  const localRopeBase = getNumber(gguf, `${name}.rope.freq_base_swa`, sliding.ropeBase);
  if (!(localRopeBase > 1 && Number.isFinite(localRopeBase)))
    throw bad(`${name}.rope.freq_base_swa`, `found ${localRopeBase}`);
  const windows = Array.from({ length: layers }, (_, i) => (isLocal(i) ? window : 0));
  return { windows, localRopeBase };
}

/** Files say of how many layers in a row the last is global, or of each layer whether it has a window. */
function slidingPattern(
  gguf: Gguf,
  key: string,
  usual: number,
  layers: number,
): (layer: number) => boolean {
  if (Array.isArray(gguf.metadata.get(key))) {
    const flags = getBooleanArray(gguf, key);
    checkEntries(key, flags, layers);
    return (layer) => flags[layer] as boolean;
  }
  const pattern = getNumber(gguf, key, usual);
  if (!Number.isInteger(pattern) || pattern < 1)
    throw bad(key, `must be a positive whole number, found ${pattern}`);
  return (layer) => (layer + 1) % pattern !== 0;
}

/** The shape for which the cache and its kernels are specialised. */
export const cacheShapeOf = (config: ModelConfig, storage: KvStorage): CacheShape => {
  const { layers, heads, kvHeads, headDim, windows, contextLength, hidden } = config;
  const words = config.states.map((layer) => stateWords(layer, hidden));
  const shape = { layers, heads, kvHeads, headDim, windows, storage, trained: contextLength };
  return { ...shape, stateWords: words };
};

/** Bytes of the keys and values of `tokens` tokens, uncompressed in f16, windows with their last tokens only; and of their states. */
export function uncompressedBytes(
  { windows, kvHeads, headDim, states, hidden }: ModelConfig,
  tokens: number,
): number {
  const held = (window: number) => (window === 0 ? tokens : Math.min(tokens, window));
  const pairs = windows.reduce((sum, window) => sum + held(window), 0) * kvHeads;
  const words = states.reduce((sum, layer) => sum + stateWords(layer, hidden), 0);
  return pairs * headDim * 2 * 2 + (tokens > 0 ? words * 4 : 0);
}
