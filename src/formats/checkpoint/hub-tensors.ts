/** Tensor names of `transformers` under those of a GGUF (llama.cpp's gguf-py/gguf/tensor_mapping.py). */
import type { ByteSource } from "../byte-source.ts";
import { dequantize } from "../ggml/dequantize.ts";
import { type GgmlType, tensorByteLength } from "../ggml/ggml-types.ts";

const TOP: Readonly<Record<string, string>> = {
  "model.embed_tokens.weight": "token_embd.weight",
  "model.norm.weight": "output_norm.weight",
  "lm_head.weight": "output.weight",
};

const LAYER: Readonly<Record<string, string>> = {
  "self_attn.q_proj": "attn_q",
  "self_attn.k_proj": "attn_k",
  "self_attn.v_proj": "attn_v",
  "self_attn.qkv_proj": "attn_qkv",
  "self_attn.o_proj": "attn_output",
  "self_attn.q_norm": "attn_q_norm",
  "self_attn.k_norm": "attn_k_norm",
  "mlp.gate_proj": "ffn_gate",
  "mlp.up_proj": "ffn_up",
  "mlp.gate_up_proj": "ffn_up",
  "mlp.down_proj": "ffn_down",
  input_layernorm: "attn_norm",
  post_attention_layernorm: "ffn_norm",
};

/** Where a family calls a norm by a name that means another one elsewhere. */
const NORMS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  gemma3: {
    post_attention_layernorm: "post_attention_norm",
    pre_feedforward_layernorm: "ffn_norm",
    post_feedforward_layernorm: "post_ffw_norm",
  },
};

/** undefined for what a decoder does not need (stored inverse frequencies, the part that sees images). */
export function ggufName(key: string, architecture: string): string | undefined {
  // Checkpoints that also take images keep the decoder one level down.
  const name = key.replace(/^(model\.)?language_model\.(model\.)?/, "model.");
  const top = name.replace(/^model\.(?=lm_head\.)/, "");
  if (Object.hasOwn(TOP, top)) return TOP[top];
  const match = /^model\.layers\.(\d+)\.(.+)\.(weight|bias)$/.exec(name);
  if (match === null) return undefined;
  const [, layer, part = "", kind] = match;
  const parts = { ...LAYER, ...NORMS[architecture] };
  // What is not known keeps its own name, by which the model is refused: it computes something else.
  return `blk.${layer}.${Object.hasOwn(parts, part) ? parts[part] : part}.${kind}`;
}

/** Families whose GGUF has the rows of Q and K in the order of interleaved RoPE. */
export const isInterleaved = (architecture: string): boolean =>
  ["llama", "smollm3", "granite"].includes(architecture);

/** Gemma's norms multiply by 1 + w; a GGUF holds the sum, in f32. */
export const holdsOneLess = (ggufName: string, architecture: string): boolean =>
  architecture === "gemma3" && /norm\.weight$/.test(ggufName);

/** `count` weights of a file in f32, each with one added, made as they are read. */
export class PlusOne implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #file: ByteSource;
  readonly #at: { readonly type: GgmlType; readonly begin: number; readonly count: number };

  constructor(
    file: ByteSource,
    name: string,
    at: { readonly type: GgmlType; readonly begin: number; readonly count: number },
  ) {
    this.name = name;
    this.size = at.count * 4;
    this.#file = file;
    this.#at = at;
  }

  async read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const { type, begin, count } = this.#at;
    const bytes = await this.#file.read(begin, tensorByteLength(type, [count]), signal);
    const sums = dequantize(type, bytes, count).map((weight) => weight + 1);
    return new Uint8Array(sums.buffer, offset, length);
  }
}
