import { type Gguf, getNumber, getString, tensorNamed } from "../formats/gguf/gguf.ts";
import type { CacheShape } from "../kernels/pages/cache-shape.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import { type Block, blocksOf } from "./blocks.ts";
import { bad, sameForAll, unlike } from "./config-fields.ts";
import type { Architecture, ModelNumbers, OwnNumbers } from "./families/family.ts";
import type { Rope } from "./rope-config.ts";
import type { StateLayer } from "./states/state-kind.ts";

/** The numbers that shape a model; letters as in ARCHITECTURE.md. */
export interface ModelConfig extends ModelNumbers, Rope {
  readonly architecture: Architecture;
  readonly name: string;
  /** L: the layers that hold keys and values. */
  readonly layers: number;
  /** Every layer, in order: one of the L, or one of `states`. */
  readonly blocks: readonly Block[];
  /** The layers that keep a state in place of keys and values. */
  readonly states: readonly StateLayer[];
  /** F */
  readonly mlp: number;
  /** RoPE base of global layers. */
  readonly ropeBase: number;
  /** The factor of query times key; 1 / sqrt(D) but for a few models. */
  readonly attentionScale: number;
  /** Queries and keys have gains: of norms, or since kernels scale by 1 / sqrt(D) alone. */
  readonly gains: boolean;
  /** The head is the embedding matrix. */
  readonly tiedHead: boolean;
}

/** Reads and checks the configuration. Throws unsupported_model or bad_model_file, naming the field. */
export function readConfig(gguf: Gguf, architecture: Architecture): ModelConfig {
  const prefix = architecture.name;
  const whole = (key: string, highest: number, fallback?: number): number => {
    const value = sameForAll(gguf, `${prefix}.${key}`, fallback);
    if (!Number.isInteger(value) || value < 1 || value > highest)
      throw bad(`${prefix}.${key}`, `must be a whole number from 1 to ${highest}, found ${value}`);
    return value;
  };
  const blockCount = whole("block_count", 1024);
  const heads = whole("attention.head_count", 1024);
  const hidden = whole("embedding_length", 1 << 17);
  const found = architecture.stateLayers?.read(gguf, prefix, blockCount, heads, hidden);
  const { kvHeads = whole("attention.head_count_kv", 1024, heads) } = found ?? {};
  const { blocks, states } = blocksOf(found?.keeps.length ?? blockCount, found);
  const layers = blocks.length - states.length;
  const headDim = whole("attention.key_length", 1024, Math.floor(hidden / heads));
  const mlp = architecture.extension?.readMlp(gguf) ?? whole("feed_forward_length", 1 << 20);
  const contextLength = whole("context_length", 1 << 24);
  const embedding = tensorNamed(gguf, "token_embd.weight");
  if (!embedding) throw bad("token_embd.weight", "the tensor is missing");
  const vocabulary = embedding.shape[1] ?? 0;
  if (heads % kvHeads !== 0)
    throw bad(`${prefix}.attention.head_count_kv`, `${kvHeads} does not divide ${heads} heads`);
  if (headDim % 8 !== 0 || headDim > 512)
    throw unlike(
      `${prefix}.attention.key_length`,
      [headDim],
      `head dimension ${headDim} is no multiple of 8 up to 512`,
    );
  const dims = whole("rope.dimension_count", 1024, headDim);
  const rope = architecture.readRope(gguf, prefix, dims, headDim);
  const normEpsilon = getNumber(gguf, `${prefix}.attention.layer_norm_rms_epsilon`);
  const ropeBase = getNumber(gguf, `${prefix}.rope.freq_base`, 10000);
  if (!(normEpsilon > 0 && normEpsilon < 1))
    throw bad(`${prefix}.attention.layer_norm_rms_epsilon`, `found ${normEpsilon}`);
  if (!(ropeBase > 1 && Number.isFinite(ropeBase)))
    throw bad(`${prefix}.rope.freq_base`, `found ${ropeBase}`);
  const basis: OwnNumbers = {
    hidden,
    contextLength,
    normEpsilon,
    embeddingScale: 1,
    logitScale: 1,
    // Qwen 2's converter writes one down where the model does not use it.
    windows: new Array<number>(layers).fill(0),
    localRopeBase: undefined,
  };
  const usualScale = 1 / Math.sqrt(headDim);
  const attentionScale = getNumber(gguf, `${prefix}.attention.scale`, usualScale);
  if (!(attentionScale > 0 && attentionScale <= 1))
    throw bad(`${prefix}.attention.scale`, `found ${attentionScale}`);
  return {
    architecture,
    name: getString(gguf, "general.name", prefix),
    layers,
    blocks,
    states,
    heads,
    kvHeads,
    headDim,
    mlp,
    vocabulary,
    ropeBase,
    ...rope,
    ...basis,
    ...architecture.readOwn?.(gguf, basis),
    attentionScale,
    gains: architecture.qkNorm || attentionScale !== usualScale || rope.ropeGain !== 1,
    tiedHead: tensorNamed(gguf, "output.weight") === undefined,
  };
}

/** The shape for which the cache and its kernels are specialised. */
export const cacheShapeOf = (config: ModelConfig, storage: KvStorage): CacheShape => ({
  ...config,
  storage,
  trained: config.contextLength,
  stateWords: config.states.map(({ words }) => words),
});

/** Bytes of the keys and values of `tokens` tokens, uncompressed in f16, windows with their last tokens only; and of their states. */
export function uncompressedBytes(
  { windows, kvHeads, headDim, states }: ModelConfig,
  tokens: number,
): number {
  const held = (window: number) => (window === 0 ? tokens : Math.min(tokens, window));
  const pairs = windows.reduce((sum, window) => sum + held(window), 0) * kvHeads;
  const words = states.reduce((sum, layer) => sum + layer.words, 0);
  return pairs * headDim * 2 * 2 + (tokens > 0 ? words * 4 : 0);
}
