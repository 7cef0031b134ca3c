/**
 * Tiny llama models as GGUF bytes, made from a seed: nothing to download, the same on every machine
 * (the fixtures in tests/model/fixtures/tiny-*.json hold the SHA-256). Quantised tensors are random
 * blocks, since any bit pattern with a sane scale is a valid block.
 */
import { type MetadataInput, type TensorInput, writeGguf } from "./gguf-writer.ts";
import { type Random, random, randomTensor, type TinyType } from "./tiny-weights.ts";

export interface TinyShape {
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
} satisfies Record<string, TinyShape>;

type Metadata = Record<string, MetadataInput>;

export type TinyName = keyof typeof TINY_MODELS;

const CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
const MERGES = "h e,t he,i n,a n,Ġ the,e r,o n,r e,Ġ a,Ġ t,an d,in g".split(",");
export const TINY_VOCAB = CONTROL.length + 256 + MERGES.length;

const CHAT_TEMPLATE =
  "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + " +
  "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/** GPT-2's printable stand-in for each byte. */
function byteCharacters(): string[] {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCodePoint(printable(b) ? b : next++));
}

function tokenizerMetadata(): Metadata {
  const merged = MERGES.map((pair) => pair.replace(" ", ""));
  const tokens = [...CONTROL, ...byteCharacters(), ...merged];
  const types = tokens.map((_, id) => (id < CONTROL.length ? 3 : 1));
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
    "tokenizer.chat_template": CHAT_TEMPLATE,
  };
}

function shapeMetadata(name: string, shape: TinyShape): Metadata {
  return {
    "general.architecture": "llama",
    "general.name": `tiny-${name}`,
    "llama.block_count": shape.layers,
    "llama.context_length": 131072,
    "llama.embedding_length": shape.hidden,
    "llama.feed_forward_length": shape.mlp,
    "llama.attention.head_count": shape.heads,
    "llama.attention.head_count_kv": shape.kvHeads,
    "llama.attention.key_length": shape.headDim,
    "llama.attention.value_length": shape.headDim,
    "llama.rope.dimension_count": shape.headDim,
    "llama.rope.freq_base": { type: "f32", value: shape.ropeBase },
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
    "llama.vocab_size": TINY_VOCAB,
  };
}

function tensors(shape: TinyShape, draw: Random): TensorInput[] {
  const { hidden: E, mlp: F, types } = shape;
  const qRows = shape.heads * shape.headDim;
  const kvRows = shape.kvHeads * shape.headDim;
  const weight = (name: string, type: TinyType, columns: number, rows: number): TensorInput => ({
    name,
    type,
    shape: [columns, rows],
    data: randomTensor(type, rows, columns, draw),
  });
  const norm = (name: string): TensorInput => {
    const gain = Float32Array.from({ length: E }, () => 0.5 + draw());
    return { name, type: "F32", shape: [E], data: new Uint8Array(gain.buffer) };
  };
  const list = [weight("token_embd.weight", types.embed, E, TINY_VOCAB)];
  for (let layer = 0; layer < shape.layers; layer++) {
    const p = `blk.${layer}.`;
    list.push(
      norm(`${p}attn_norm.weight`),
      weight(`${p}attn_q.weight`, types.q, E, qRows),
      weight(`${p}attn_k.weight`, types.k, E, kvRows),
      weight(`${p}attn_v.weight`, types.v, E, kvRows),
      weight(`${p}attn_output.weight`, types.o, qRows, E),
      norm(`${p}ffn_norm.weight`),
      weight(`${p}ffn_gate.weight`, types.gate, E, F),
      weight(`${p}ffn_up.weight`, types.up, E, F),
      weight(`${p}ffn_down.weight`, types.down, F, E),
    );
  }
  list.push(norm("output_norm.weight"));
  if (!shape.tied) list.push(weight("output.weight", types.head, E, TINY_VOCAB));
  return list;
}

/** The GGUF file of one tiny model; the same bytes every time. */
export function tinyModel(name: TinyName): Uint8Array<ArrayBuffer> {
  const shape: TinyShape = TINY_MODELS[name];
  const draw = random(name.length * 1000 + name.charCodeAt(0));
  return writeGguf({
    metadata: { ...shapeMetadata(name, shape), ...tokenizerMetadata() },
    tensors: tensors(shape, draw),
  });
}
