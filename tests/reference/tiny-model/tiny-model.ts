/**
 * Tiny models of every family as GGUF bytes, made from a seed: nothing to download, the same on every machine
 * (the fixtures in tests/model/fixtures/tiny-*.json hold the SHA-256). Quantised tensors are random
 * blocks, since any bit pattern with a sane scale is a valid block.
 */

import { seededRandom } from "../../../src/random.ts";
import { type MetadataInput, type TensorInput, writeGguf } from "./gguf-writer.ts";
import { type Random, randomTensor, type TinyType } from "./tiny-weights.ts";

export interface TinyShape {
  /** Default llama. */
  family?:
    | "llama"
    | "smollm3"
    | "qwen2"
    | "qwen3"
    | "gemma3"
    | "lfm2"
    | "granite"
    | "phi3"
    | "mistral3"
    | "qwen35"
    | "gemma4";
  /** Of the layers with a sliding window. */
  window?: number;
  /** Gemma 4's: heads of layers with a window, which of the layers are global, how many of the last borrow, per-layer inputs, the cap. */
  layerwise?: {
    headDim: number;
    globals: readonly number[];
    shared: number;
    inputs: number;
    cap: number;
    table: TinyType;
  };
  /** Which of the layers are gated short convolutions, and over how many tokens. */
  convolutions?: readonly number[];
  taps?: number;
  /** Granite's. */
  multipliers?: Record<
    "embedding_scale" | "residual_scale" | "attention.scale" | "logit_scale",
    number
  >;
  /** Phi 3's: Q, K and V are one matrix, gate and up too. */
  fused?: boolean;
  /** How many dimensions of a head RoPE turns. Default: all. */
  rotated?: number;
  /** LongRoPE's: the context that the model was trained for first, and the factor of turned queries and keys. */
  longRope?: readonly [original: number, attention: number];
  /** YaRN's: the factor, the context that the model was trained for first, and turns within it of what is kept and of what is slowed. */
  yarn?: readonly [factor: number, original: number, fast: number, slow: number];
  /** Gated DeltaNet in all layers but every so-many-th, and the sizes of its heads; attention has gates. */
  delta?: { interval: number; keyHeads: number; valueHeads: number; dim: number };
  /** Llama 3's frequency factors: factor, low and high frequency factor, original context. */
  ropeScaling?: readonly [number, number, number, number];
  layers: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  hidden: number;
  mlp: number;
  /** Whether the head shares the embedding. */
  tied: boolean;
  ropeBase: number;
  types: Record<"embed" | "q" | "k" | "v" | "o" | "gate" | "up" | "down" | "head", TinyType>;
  /** Matrices of the first layers in turns of MATRIX_TYPES, from this one on, whatever `types` says. */
  mixedFrom?: number;
}

const same = (type: TinyType): TinyShape["types"] => ({
  embed: type,
  q: type,
  k: type,
  v: type,
  o: type,
  gate: type,
  up: type,
  down: type,
  head: type,
});

/** Every type a matrix may have; blocks of K-quants ask for sides that are multiples of 256. */
export const MATRIX_TYPES = [
  "F32",
  "F16",
  "BF16",
  "Q4_0",
  "Q4_1",
  "Q5_0",
  "Q5_1",
  "Q8_0",
  "Q2_K",
  "Q3_K",
  "Q4_K",
  "Q5_K",
  "Q6_K",
  "IQ4_NL",
  "IQ4_XS",
  "MXFP4",
] as const satisfies readonly TinyType[];

/** The 21 matrices of the first three layers have every type; embedding and head others in each family. */
const ofEveryType = (mixedFrom: number, embed: TinyType, head?: TinyType) => ({
  mixedFrom,
  layers: 3,
  heads: 4,
  kvHeads: 2,
  headDim: 64,
  hidden: 256,
  mlp: 256,
  tied: head === undefined,
  ropeBase: 10000,
  types: { ...same("F32"), embed, head: head ?? "F32" },
});

export const TINY_MODELS = {
  f32: {
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    hidden: 64,
    mlp: 96,
    tied: true,
    ropeBase: 10000,
    types: same("F32"),
  },
  /** Head size and group of SmolLM2, H * D unequal to E, every block type of 32. */
  quant: {
    layers: 2,
    heads: 3,
    kvHeads: 1,
    headDim: 64,
    hidden: 96,
    mlp: 160,
    tied: true,
    ropeBase: 100000,
    types: {
      embed: "Q8_0",
      q: "Q4_1",
      k: "Q4_1",
      v: "Q8_0",
      o: "Q5_0",
      gate: "Q4_0",
      up: "Q5_1",
      down: "Q4_1",
      head: "F16",
    },
  },
  /** K-quants (blocks of 256), half types, a head of its own. */
  kquant: {
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 64,
    hidden: 256,
    mlp: 512,
    tied: false,
    ropeBase: 10000,
    types: {
      embed: "F16",
      q: "Q4_K",
      k: "Q4_K",
      v: "Q6_K",
      o: "Q5_K",
      gate: "Q4_K",
      up: "BF16",
      down: "Q6_K",
      head: "Q6_K",
    },
  },
  /** Llama 3.x: frequency factors, heads of 128, a head of its own. */
  llama3: {
    layers: 2,
    heads: 4,
    kvHeads: 1,
    headDim: 128,
    hidden: 64,
    mlp: 96,
    tied: false,
    ropeBase: 500000,
    ropeScaling: [8, 1, 4, 64],
    types: { ...same("F16"), v: "Q8_0", head: "Q8_0" },
  },
  /** Biases on Q, K and V; a head of another type than the embedding. */
  qwen2: {
    family: "qwen2",
    layers: 2,
    heads: 6,
    kvHeads: 2,
    headDim: 16,
    hidden: 96,
    mlp: 128,
    tied: false,
    ropeBase: 1000000,
    types: { ...same("F32"), embed: "Q8_0", k: "Q5_0", v: "Q4_0", head: "Q5_1" },
  },
  /** QK-norm; H * D unequal to E. */
  qwen3: {
    family: "qwen3",
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 32,
    hidden: 64,
    mlp: 96,
    tied: true,
    ropeBase: 1000000,
    types: same("F32"),
  },
  /** Four layers, so that one sees no positions. */
  smollm3: {
    family: "smollm3",
    layers: 4,
    heads: 4,
    kvHeads: 1,
    headDim: 16,
    hidden: 64,
    mlp: 96,
    tied: true,
    ropeBase: 5000000,
    types: same("F16"),
  },
  /** Seven layers, so that one is global; a window smaller than the prompt and than a chunk; D of 256. */
  gemma3: {
    family: "gemma3",
    layers: 7,
    heads: 2,
    kvHeads: 1,
    headDim: 256,
    hidden: 32,
    mlp: 64,
    tied: true,
    ropeBase: 1000000,
    window: 13,
    types: { ...same("F32"), v: "Q8_0", gate: "Q4_1", up: "Q8_0" },
  },
  /** Convolutions before, between and behind attention; E and the heads unequal, a ragged E and MLP. */
  lfm2: {
    family: "lfm2",
    layers: 6,
    heads: 6,
    kvHeads: 2,
    headDim: 32,
    hidden: 76,
    mlp: 116,
    tied: true,
    ropeBase: 1000000,
    convolutions: [0, 1, 3, 5],
    taps: 3,
    types: same("F32"),
  },
  /** Multipliers of embeddings, residuals, attention and logits; a ragged MLP, a head of its own. */
  granite: {
    family: "granite",
    layers: 3,
    heads: 6,
    kvHeads: 2,
    headDim: 16,
    hidden: 96,
    mlp: 140,
    tied: false,
    ropeBase: 10000000,
    multipliers: {
      embedding_scale: 12,
      residual_scale: 0.22,
      "attention.scale": 0.0625 * 1.3,
      logit_scale: 3,
    },
    types: { ...same("F32"), q: "F16", embed: "Q8_0" },
  },
  /** Fused matrices, 12 of 16 dimensions turned, LongRoPE; a ragged MLP. */
  phi3: {
    family: "phi3",
    layers: 3,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    hidden: 64,
    mlp: 92,
    tied: true,
    ropeBase: 10000,
    fused: true,
    rotated: 12,
    longRope: [20, 1.1],
    types: { ...same("F32"), q: "F16", up: "Q8_0" },
  },
  /** YaRN of which the pairs show all three parts, heads of another size than E / H. */
  mistral3: {
    family: "mistral3",
    layers: 2,
    heads: 6,
    kvHeads: 2,
    headDim: 32,
    hidden: 96,
    mlp: 140,
    tied: true,
    ropeBase: 10000,
    yarn: [16, 64, 4, 0.5],
    types: { ...same("F32"), q: "F16", up: "Q8_0" },
  },
  /** Gated DeltaNet with two value heads per key head of another size than attention's; gated attention, RoPE on a part of the head. */
  qwen35: {
    family: "qwen35",
    layers: 6,
    heads: 6,
    kvHeads: 2,
    headDim: 32,
    hidden: 76,
    mlp: 116,
    tied: true,
    ropeBase: 10000000,
    taps: 4,
    delta: { interval: 3, keyHeads: 3, valueHeads: 6, dim: 20 },
    rotated: 12,
    types: same("F32"),
  },
  /**
   * Small and large heads; layers that borrow from two others, between which one has keys and values of its own; a wide MLP where
   * they do, per-layer inputs of a ragged size, a cap that bites.
   */
  gemma4: {
    family: "gemma4",
    layers: 9,
    heads: 6,
    kvHeads: 2,
    headDim: 48,
    hidden: 76,
    mlp: 52,
    tied: true,
    ropeBase: 1000000,
    window: 13,
    layerwise: { headDim: 16, globals: [2, 6, 8], shared: 4, inputs: 12, cap: 4, table: "F32" },
    types: same("F32"),
  },
  /** Phi 3 mini's of 4,096 tokens: every layer has a window, no LongRoPE, as many kv heads as heads. */
  "phi3-window": {
    family: "phi3",
    layers: 2,
    heads: 4,
    kvHeads: 4,
    headDim: 16,
    hidden: 64,
    mlp: 92,
    tied: false,
    ropeBase: 10000,
    fused: true,
    window: 13,
    types: same("F32"),
  },
  "types-llama": ofEveryType(0, "Q4_0", "Q5_0"),
  "types-llama3": {
    ...ofEveryType(3, "Q4_1", "Q4_K"),
    heads: 2,
    kvHeads: 1,
    headDim: 128,
    ropeBase: 500000,
    ropeScaling: [8, 1, 4, 64],
  },
  "types-qwen2": { ...ofEveryType(6, "Q5_K", "BF16"), family: "qwen2" },
  "types-qwen3": { ...ofEveryType(9, "Q5_1", "F16"), family: "qwen3", heads: 8 },
  "types-smollm3": { ...ofEveryType(4, "Q8_0", "Q6_K"), family: "smollm3", layers: 4 },
  "types-lfm2": {
    ...ofEveryType(8, "F16"),
    family: "lfm2",
    convolutions: [1],
    taps: 4,
    ropeBase: 1000000,
  },
  "types-granite": {
    ...ofEveryType(5, "Q4_K", "Q8_0"),
    family: "granite",
    multipliers: {
      embedding_scale: 6,
      residual_scale: 0.4,
      "attention.scale": 0.2,
      logit_scale: 2,
    },
  },
  "types-phi3": {
    ...ofEveryType(2, "Q4_K"),
    family: "phi3",
    layers: 4,
    fused: true,
    rotated: 48,
    longRope: [20, 1.19],
  },
  "types-mistral3": {
    ...ofEveryType(6, "Q6_K"),
    family: "mistral3",
    yarn: [4, 64, 4, 0.5],
  },
  "types-qwen35": {
    ...ofEveryType(5, "BF16", "Q8_0"),
    family: "qwen35",
    taps: 4,
    delta: { interval: 3, keyHeads: 2, valueHeads: 4, dim: 64 },
    rotated: 16,
    ropeBase: 10000000,
  },
  "types-gemma4": {
    ...ofEveryType(7, "Q8_0"),
    family: "gemma4",
    layers: 5,
    headDim: 128,
    window: 13,
    layerwise: { headDim: 64, globals: [1, 4], shared: 2, inputs: 256, cap: 30, table: "Q5_K" },
    ropeBase: 1000000,
  },
  "types-gemma3": {
    ...ofEveryType(1, "Q6_K"),
    family: "gemma3",
    layers: 7,
    heads: 2,
    kvHeads: 1,
    headDim: 256,
    window: 13,
    ropeBase: 1000000,
  },
} satisfies Record<string, TinyShape>;

type Metadata = Record<string, MetadataInput>;

export type TinyName = keyof typeof TINY_MODELS;

const CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const MERGES = "h e,t he,i n,a n,Ġ the,e r,o n,r e,Ġ a,Ġ t,an d,in g".split(",");
export const TINY_VOCAB = CONTROL.length + 256 + MERGES.length;

export const CHAT_TEMPLATE =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + " +
  "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** GPT-2's printable stand-in for each byte. */
function byteCharacters(): string[] {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

/** What a tiny model's text is like, other than a ChatML without tools. */
export interface TinyText {
  readonly template: string;
  /** Control tokens besides, behind all others. */
  readonly controls?: readonly string[];
  /** How many words there are behind those, up to 94 ** 3, which no text is encoded to: for large vocabularies. */
  readonly words?: number;
}

/** Three printable characters. */
const wordOf = (_: unknown, i: number): string =>
  String.fromCharCode(...[94 * 94, 94, 1].map((unit) => 33 + (Math.floor(i / unit) % 94)));

function tokenizerMetadata({ template, controls = [], words = 0 }: TinyText): Metadata {
  const merged = MERGES.map((pair) => pair.replace(" ", ""));
  const known = [...CONTROL, ...byteCharacters(), ...merged, ...controls];
  const kinds = known.map((_, id) => (id < CONTROL.length || id >= TINY_VOCAB ? 3 : 1));
  const tokens = [...known, ...Array.from({ length: words }, wordOf)];
  const types = [...kinds, ...Array.from({ length: words }, () => 1)];
  return {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "smollm",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.token_type": Int32Array.from(types),
    "tokenizer.ggml.merges": MERGES,
    "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2,
    "tokenizer.ggml.add_bos_token": false,
    "tokenizer.ggml.add_space_prefix": false,
    "tokenizer.chat_template": template,
  };
}

/** Layers that borrow keys and values have an MLP of twice the width. */
const mlpOf = ({ mlp, layers, layerwise }: TinyShape, layer: number): number =>
  layerwise && layer >= layers - layerwise.shared ? 2 * mlp : mlp;

const layerwiseMetadata = (
  { layers }: TinyShape,
  { headDim, globals, shared, inputs, cap }: NonNullable<TinyShape["layerwise"]>,
): Metadata => ({
  "attention.sliding_window_pattern": Array.from(
    { length: layers },
    (_, layer) => !globals.includes(layer),
  ),
  "attention.key_length_swa": headDim,
  "attention.value_length_swa": headDim,
  "attention.shared_kv_layers": shared,
  "rope.dimension_count_swa": headDim,
  "rope.freq_base_swa": { type: "f32", value: 10000 },
  embedding_length_per_layer_input: inputs,
  final_logit_softcapping: { type: "f32", value: cap },
});

function shapeMetadata(
  name: string,
  shape: TinyShape,
  contextLength: number,
  vocabulary: number,
): Metadata {
  const family = shape.family ?? "llama";
  const numbers: Metadata = {
    block_count: shape.layers,
    context_length: contextLength,
    embedding_length: shape.hidden,
    feed_forward_length: shape.layerwise
      ? Int32Array.from({ length: shape.layers }, (_, layer) => mlpOf(shape, layer))
      : shape.mlp,
    "attention.head_count": shape.heads,
    "attention.head_count_kv": shape.convolutions
      ? Int32Array.from({ length: shape.layers }, (_, layer) =>
          shape.convolutions?.includes(layer) ? 0 : shape.kvHeads,
        )
      : shape.kvHeads,
    "attention.key_length": shape.headDim,
    "attention.value_length": shape.headDim,
    "rope.dimension_count": shape.rotated ?? shape.headDim,
    "rope.freq_base": { type: "f32", value: shape.ropeBase },
    "attention.layer_norm_rms_epsilon": 1e-5,
    vocab_size: vocabulary,
    ...(shape.window ? { "attention.sliding_window": shape.window } : {}),
    ...(shape.layerwise ? layerwiseMetadata(shape, shape.layerwise) : {}),
    ...(shape.longRope
      ? {
          "rope.scaling.original_context_length": shape.longRope[0],
          "rope.scaling.attn_factor": { type: "f32", value: shape.longRope[1] } as const,
        }
      : {}),
    ...(shape.yarn
      ? {
          "rope.scaling.type": "yarn",
          "rope.scaling.factor": { type: "f32", value: shape.yarn[0] } as const,
          "rope.scaling.original_context_length": shape.yarn[1],
          "rope.scaling.yarn_beta_fast": { type: "f32", value: shape.yarn[2] } as const,
          "rope.scaling.yarn_beta_slow": { type: "f32", value: shape.yarn[3] } as const,
          "rope.scaling.yarn_log_multiplier": { type: "f32", value: 1 } as const,
          "attention.temperature_scale": { type: "f32", value: 0.1 } as const,
        }
      : {}),
    ...Object.fromEntries(
      Object.entries(shape.multipliers ?? {}).map(([key, value]) => [
        key,
        { type: "f32", value } as const,
      ]),
    ),
    ...(shape.convolutions ? { "shortconv.l_cache": shape.taps! } : {}),
    ...(shape.delta
      ? {
          full_attention_interval: shape.delta.interval,
          "ssm.conv_kernel": shape.taps!,
          "ssm.state_size": shape.delta.dim,
          "ssm.group_count": shape.delta.keyHeads,
          "ssm.time_step_rank": shape.delta.valueHeads,
          "ssm.inner_size": shape.delta.valueHeads * shape.delta.dim,
        }
      : {}),
  };
  return {
    "general.architecture": family,
    "general.name": `tiny-${name}`,
    ...Object.fromEntries(Object.entries(numbers).map(([key, n]) => [`${family}.${key}`, n])),
  };
}

function tensors(shape: TinyShape, draw: Random, vocabulary: number): TensorInput[] {
  const { hidden: E, layerwise } = shape;
  const weight = (name: string, type: TinyType, columns: number, rows: number): TensorInput => ({
    name,
    type,
    shape: [columns, rows],
    data: randomTensor(type, rows, columns, draw),
  });
  const floats = (name: string, values: Float32Array<ArrayBuffer>): TensorInput => {
    return { name, type: "F32", shape: [values.length], data: new Uint8Array(values.buffer) };
  };
  const norm = (name: string, length = E): TensorInput =>
    floats(
      name,
      Float32Array.from({ length }, () => 0.5 + draw()),
    );
  // Where attention does not divide by sqrt(D), its norms do.
  const headNorm = (name: string, length: number): TensorInput =>
    layerwise
      ? floats(
          name,
          Float32Array.from({ length }, () => (0.5 + draw()) * 0.4),
        )
      : norm(name, length);
  const bias = (name: string, length: number, scale = 1): TensorInput =>
    floats(
      name,
      Float32Array.from({ length }, () => scale * (draw() - 0.5)),
    );
  const { family = "llama" } = shape;
  const list = [weight("token_embd.weight", shape.types.embed, E, vocabulary)];
  for (let layer = 0; layer < shape.layers; layer++) {
    const types = mixedTypes(shape, layer) ?? shape.types;
    const p = `blk.${layer}.`;
    const F = mlpOf(shape, layer);
    const D = layerwise && !layerwise.globals.includes(layer) ? layerwise.headDim : shape.headDim;
    const [qRows, kvRows] = [shape.heads * D, shape.kvHeads * D];
    const borrows = layerwise !== undefined && layer >= shape.layers - layerwise.shared;
    const convolves = shape.convolutions?.includes(layer);
    const { delta } = shape;
    const recurs = delta && (layer + 1) % delta.interval !== 0;
    const attends = !convolves && !recurs;
    const gated = delta ? 2 : 1;
    list.push(
      norm(`${p}attn_norm.weight`),
      ...(convolves
        ? [
            weight(`${p}shortconv.in_proj.weight`, types.q, E, 3 * E),
            weight(`${p}shortconv.conv.weight`, "F32", shape.taps!, E),
            weight(`${p}shortconv.out_proj.weight`, types.o, E, E),
          ]
        : []),
      ...(recurs ? deltaTensors(p, shape, types, weight, norm, floats, draw) : []),
      ...(!attends
        ? []
        : [
            ...(shape.fused
              ? [weight(`${p}attn_qkv.weight`, types.q, E, qRows + 2 * kvRows)]
              : [
                  weight(`${p}attn_q.weight`, types.q, E, gated * qRows),
                  ...(borrows
                    ? []
                    : [
                        weight(`${p}attn_k.weight`, types.k, E, kvRows),
                        weight(`${p}attn_v.weight`, types.v, E, kvRows),
                      ]),
                ]),
            weight(`${p}attn_output.weight`, types.o, qRows, E),
          ]),
      ...(family === "qwen2"
        ? [
            bias(`${p}attn_q.bias`, qRows),
            bias(`${p}attn_k.bias`, kvRows, 6),
            bias(`${p}attn_v.bias`, kvRows),
          ]
        : []),
      ...(["qwen3", "gemma3", "lfm2", "qwen35", "gemma4"].includes(family) && attends
        ? [
            headNorm(`${p}attn_q_norm.weight`, D),
            ...(borrows ? [] : [headNorm(`${p}attn_k_norm.weight`, D)]),
          ]
        : []),
      ...(family === "gemma3" || family === "gemma4"
        ? [norm(`${p}post_attention_norm.weight`), norm(`${p}post_ffw_norm.weight`)]
        : []),
      norm(`${p}${family === "qwen35" ? "post_attention_norm" : "ffn_norm"}.weight`),
      ...(shape.fused
        ? [weight(`${p}ffn_up.weight`, types.up, E, 2 * F)]
        : [
            weight(`${p}ffn_gate.weight`, types.gate, E, F),
            weight(`${p}ffn_up.weight`, types.up, E, F),
          ]),
      weight(`${p}ffn_down.weight`, types.down, F, E),
      ...(layerwise
        ? [
            weight(`${p}inp_gate.weight`, types.gate, E, layerwise.inputs),
            weight(`${p}proj.weight`, types.up, layerwise.inputs, E),
            norm(`${p}post_norm.weight`),
            norm(`${p}layer_output_scale.weight`, 1),
          ]
        : []),
    );
  }
  list.push(norm(family === "lfm2" ? "token_embd_norm.weight" : "output_norm.weight"));
  if (layerwise) list.push(...layerwiseTensors(shape, layerwise, weight, norm, floats, vocabulary));
  if (!shape.tied) list.push(weight("output.weight", shape.types.head, E, vocabulary));
  if (shape.ropeScaling) list.push(floats("rope_freqs.weight", frequencyFactors(shape)));
  if (shape.longRope)
    for (const [which, most] of [["long", 9] as const, ["short", 1.5] as const])
      list.push(floats(`rope_factors_${which}.weight`, longFactors(shape, most)));
  return list;
}

/** The table, what is made of embeddings beside it, and the divisors of a RoPE that turns a quarter of a head's pairs. */
function layerwiseTensors(
  { hidden: E, headDim: D, layers, types }: TinyShape,
  { inputs, table }: NonNullable<TinyShape["layerwise"]>,
  weight: (name: string, type: TinyType, columns: number, rows: number) => TensorInput,
  norm: (name: string, length: number) => TensorInput,
  floats: (name: string, values: Float32Array<ArrayBuffer>) => TensorInput,
  vocabulary: number,
): TensorInput[] {
  const turned = Math.floor(D / 8);
  return [
    weight("per_layer_token_embd.weight", table, layers * inputs, vocabulary),
    weight("per_layer_model_proj.weight", types.q, E, layers * inputs),
    norm("per_layer_proj_norm.weight", inputs),
    floats(
      "rope_freqs.weight",
      Float32Array.from({ length: D / 2 }, (_, i) => (i < turned ? 1 : 1e30)),
    ),
  ];
}

/** A layer of gated DeltaNet. What it forgets goes from little to nearly all. */
function deltaTensors(
  p: string,
  { delta, hidden: E, taps }: TinyShape,
  types: TinyShape["types"],
  weight: (name: string, type: TinyType, columns: number, rows: number) => TensorInput,
  norm: (name: string, length: number) => TensorInput,
  floats: (name: string, values: Float32Array<ArrayBuffer>) => TensorInput,
  draw: Random,
): TensorInput[] {
  const { keyHeads, valueHeads, dim } = delta!;
  const [values, channels] = [valueHeads * dim, (2 * keyHeads + valueHeads) * dim];
  const perHead = (number: () => number) => Float32Array.from({ length: valueHeads }, number);
  return [
    weight(`${p}attn_qkv.weight`, types.q, E, channels),
    weight(`${p}attn_gate.weight`, types.k, E, values),
    weight(`${p}ssm_beta.weight`, types.v, E, valueHeads),
    weight(`${p}ssm_alpha.weight`, "F32", E, valueHeads),
    weight(`${p}ssm_conv1d.weight`, "F32", taps!, channels),
    floats(
      `${p}ssm_a`,
      perHead(() => -0.03 - 2 * draw() * draw()),
    ),
    floats(
      `${p}ssm_dt.bias`,
      perHead(() => 2 * draw() - 1),
    ),
    norm(`${p}ssm_norm.weight`, dim),
    weight(`${p}ssm_out.weight`, types.o, values, E),
  ];
}

const ROLES = ["q", "k", "v", "o", "gate", "up", "down"] as const;
const FUSED_ROLES = ["q", "o", "up", "down"] as const;

/** The types of one of the first layers of a model with all of them. */
function mixedTypes(
  { mixedFrom, types, fused }: TinyShape,
  layer: number,
): TinyShape["types"] | undefined {
  const roles = fused ? FUSED_ROLES : ROLES;
  if (mixedFrom === undefined || roles.length * layer > MATRIX_TYPES.length) return undefined;
  const turn = (role: number) =>
    MATRIX_TYPES[(mixedFrom + roles.length * layer + role) % MATRIX_TYPES.length]!;
  return { ...types, ...Object.fromEntries(roles.map((role, i) => [role, turn(i)])) };
}

/** Divisors that grow from 1 to `most`. */
const longFactors = (shape: TinyShape, most: number): Float32Array<ArrayBuffer> => {
  const count = (shape.rotated ?? shape.headDim) / 2;
  return Float32Array.from({ length: count }, (_, i) => most ** (i / (count - 1)));
};

/** What the frequencies of Llama 3 are divided by, as its converter writes it. */
function frequencyFactors(shape: TinyShape): Float32Array<ArrayBuffer> {
  const [factor, low, high, context] = shape.ropeScaling!;
  return Float32Array.from({ length: shape.headDim / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * shape.ropeBase ** ((2 * i) / shape.headDim);
    if (wavelength < context / high) return 1;
    if (wavelength > context / low) return factor;
    const smooth = (context / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

/** The GGUF file of one tiny model; the same bytes every time. */
export function tinyModel(name: TinyName, contextLength?: number): Uint8Array<ArrayBuffer> {
  return tinyGguf(name, TINY_MODELS[name], contextLength);
}

/** A model of any shape, whose seed is its name. */
export function tinyGguf(
  name: string,
  shape: TinyShape,
  contextLength = 131072,
  text: TinyText = { template: CHAT_TEMPLATE },
): Uint8Array<ArrayBuffer> {
  const draw = seededRandom(name.length * 1000 + name.charCodeAt(0));
  const vocabulary = TINY_VOCAB + (text.controls?.length ?? 0) + (text.words ?? 0);
  return writeGguf({
    metadata: {
      ...shapeMetadata(name, shape, contextLength, vocabulary),
      ...tokenizerMetadata(text),
    },
    tensors: tensors(shape, draw, vocabulary),
  });
}
