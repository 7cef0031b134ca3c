/** Files that parse but are of an unsupported kind, or whose numbers and tensors contradict each other. */
import { describe, expect, it } from "vitest";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { type Gguf, parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { ARCHITECTURES } from "../../../src/model/families/all.ts";
import { findTensors } from "../../../src/model/tensors.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";
import { TINY_MODELS, type TinyName, tinyModel } from "../../reference/tiny-model/tiny-model.ts";

const noBytes = new MemorySource(new Uint8Array(0), "none");
const load = (gguf: Gguf) => findTensors(noBytes, gguf, configOf(gguf));

const parsed = new Map<TinyName, Promise<Gguf>>();

/** A tiny model with keys or tensors changed; undefined takes one away. */
async function changed(
  name: TinyName,
  keys: Record<string, unknown>,
  tensors: Record<string, number[] | undefined> = {},
): Promise<Gguf> {
  if (!parsed.has(name))
    parsed.set(name, parseGguf(new MemorySource(tinyModel(name), "tiny.gguf")));
  const gguf = await parsed.get(name)!;
  const metadata = new Map<string, unknown>(gguf.metadata);
  for (const [key, value] of Object.entries(keys))
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
  const map = new Map(gguf.tensors);
  for (const [tensor, shape] of Object.entries(tensors)) {
    const known = map.get(tensor) ?? [...map.values()][0]!;
    if (shape === undefined) map.delete(tensor);
    else map.set(tensor, { ...known, name: tensor, shape });
  }
  return { ...gguf, metadata: metadata as Gguf["metadata"], tensors: map };
}

describe("every tiny model", () => {
  it.each(Object.keys(TINY_MODELS) as TinyName[])("%s is sound", async (name) => {
    const gguf = await changed(name, {});
    expect(load(gguf).layers).toHaveLength(TINY_MODELS[name].layers);
  });
});

describe("an architecture that is not supported", () => {
  it.each(["phi2", "mistral4", "mamba", "granitehybrid", "qwen3next", "toString", ""])(
    "is named with those that are: %s",
    async (name) => {
      const gguf = await changed("f32", { "general.architecture": name });
      expect(() => load(gguf)).toThrow(
        expect.objectContaining({
          code: "unsupported_model",
          message: expect.stringContaining(`"${name}"`),
          hint: `Use a model of: ${Object.keys(ARCHITECTURES).join(", ")}.`,
        }),
      );
    },
  );
});

type Change = Parameters<typeof changed>;

const ODD_HEADS = {
  "qwen35.ssm.group_count": 3,
  "qwen35.ssm.time_step_rank": 3,
  "qwen35.ssm.inner_size": 60,
};
const HEADS_OF_18 = { "qwen35.ssm.state_size": 18, "qwen35.ssm.inner_size": 108 };

describe("layers that guess tokens ahead", () => {
  it("are passed over, where the file says so", async () => {
    const extra = { "blk.6.attn_norm.weight": [76], "blk.6.nextn.eh_proj.weight": [152, 76] };
    const counts = { "qwen35.block_count": 7, "qwen35.nextn_predict_layers": 1 };
    expect(load(await changed("qwen35", counts, extra)).layers).toHaveLength(6);
    const flags = {
      "qwen35.attention.recurrent_layers": [true, true, false, true, true, false, false],
    };
    expect(load(await changed("qwen35", { ...counts, ...flags }, extra)).layers).toHaveLength(6);
    const unsaid = await changed("qwen35", {}, extra);
    expect(() => load(unsaid)).toThrow(/blk\.6\.attn_norm\.weight: not known/);
  });
});

describe("a file of another kind than Winnow computes", () => {
  it.each<[string, ...Change, message: RegExp]>([
    ["odd heads", "f32", { "llama.attention.key_length": 20 }, {}, /head dimension 20/],
    ["partial RoPE", "f32", { "llama.rope.dimension_count": 8 }, {}, /RoPE over 8 of 16/],
    ["YaRN", "f32", { "llama.rope.scaling.type": "yarn" }, {}, /scaling "yarn"/],
    ["capped logits", "gemma3", { "gemma3.final_logit_softcapping": 30 }, {}, /caps no logits/],
    [
      "nothing but states",
      "lfm2",
      { "lfm2.attention.head_count_kv": new Int32Array(6) },
      {},
      /no layer has keys and values/,
    ],
    [
      "kv heads that differ beside states",
      "lfm2",
      { "lfm2.attention.head_count_kv": Int32Array.of(0, 0, 2, 0, 3, 0) },
      {},
      /head_count_kv: differs/,
    ],
    [
      "states where the family has none",
      "f32",
      { "llama.attention.head_count_kv": Int32Array.of(2, 0) },
      {},
      /head_count_kv: differs/,
    ],
    ["an odd number of value heads", "qwen35", ODD_HEADS, {}, /time_step_rank: Winnow takes even/],
    ["heads of 18", "qwen35", HEADS_OF_18, {}, /state_size: Winnow takes multiples of 4/],
    [
      "nothing but DeltaNet",
      "qwen35",
      { "qwen35.full_attention_interval": 7 },
      {},
      /no layer has keys/,
    ],
    [
      "Gemma 4 without per-layer embeddings",
      "gemma4",
      { "gemma4.embedding_length_per_layer_input": 0 },
      {},
      /per-layer embeddings \(E2B, E4B\)/,
    ],
    [
      "Gemma 4 of kv heads that differ",
      "gemma4",
      { "gemma4.attention.head_count_kv": Int32Array.of(2, 2, 1, 2, 2, 2, 1, 2, 1) },
      {},
      /head_count_kv: differs/,
    ],
    [
      "capped attention in Gemma 4",
      "gemma4",
      { "gemma4.attn_logit_softcapping": 50 },
      {},
      /attn_logit_softcapping: this family caps no logits/,
    ],
    ["experts", "f32", {}, { "blk.0.ffn_gate_inp.weight": [64, 8] }, /blk\.0\.ffn_gate_inp/],
    ["a bias", "f32", {}, { "blk.1.attn_q.bias": [64] }, /blk\.1\.attn_q\.bias/],
  ])("%s", async (_, name, keys, tensors, message) => {
    const gguf = await changed(name, keys, tensors);
    expect(() => load(gguf)).toThrow(
      expect.objectContaining({
        code: "unsupported_model",
        message: expect.stringMatching(message),
        details: expect.objectContaining({ field: expect.any(String) }),
      }),
    );
  });
});

describe("a configuration that contradicts itself or its tensors", () => {
  it.each<[string, ...Change, message: RegExp]>([
    ["no layers", "f32", { "llama.block_count": 0 }, {}, /llama\.block_count/],
    [
      "more borrowing layers than layers",
      "gemma4",
      { "gemma4.attention.shared_kv_layers": 9 },
      {},
      /shared_kv_layers/,
    ],
    [
      "no global layer to borrow from",
      "gemma4",
      { "gemma4.attention.shared_kv_layers": 7 },
      {},
      /shared_kv_layers: 7 leave no layer of some kind/,
    ],
    [
      "MLPs of too few layers",
      "gemma4",
      { "gemma4.feed_forward_length": Int32Array.of(52, 104) },
      {},
      /feed_forward_length: has 2 entries for 9 layers/,
    ],
    [
      "no table",
      "gemma4",
      {},
      { "per_layer_token_embd.weight": undefined },
      /per_layer_token_embd/,
    ],
    [
      "a table of other rows",
      "gemma4",
      {},
      { "per_layer_token_embd.weight": [96, 271] },
      /\[108, 271\]/,
    ],
    [
      "heads of layers with a window larger than the others",
      "gemma4",
      { "gemma4.attention.key_length_swa": 64 },
      {},
      /key_length_swa/,
    ],
    ["more layers than there are", "f32", { "llama.block_count": 3 }, {}, /blk\.2\..*missing/],
    [
      "kv heads that do not divide",
      "f32",
      { "llama.attention.head_count_kv": 3 },
      {},
      /3 does not/,
    ],
    ["other kv heads", "f32", { "llama.attention.head_count_kv": 1 }, {}, /attn_k.*\[64, 16\]/],
    ["another width", "f32", { "llama.embedding_length": 128 }, {}, /token_embd.*\[128, 271\]/],
    ["another MLP", "f32", { "llama.feed_forward_length": 64 }, {}, /ffn_gate.*\[64, 64\]/],
    ["no epsilon", "f32", { "llama.attention.layer_norm_rms_epsilon": 2 }, {}, /epsilon: found 2/],
    ["a RoPE base of 1", "f32", { "llama.rope.freq_base": 1 }, {}, /freq_base: found 1/],
    ["no window", "gemma3", { "gemma3.attention.sliding_window": undefined }, {}, /sliding_window/],
    ["no taps", "lfm2", { "lfm2.shortconv.l_cache": undefined }, {}, /l_cache/],
    ["one tap", "lfm2", { "lfm2.shortconv.l_cache": 1 }, {}, /l_cache.*2 to 64, found 1/],
    [
      "kv heads of fewer layers",
      "lfm2",
      { "lfm2.attention.head_count_kv": Int32Array.of(0, 2) },
      {},
      /head_count_kv.*2 entries for 6 layers/,
    ],
    [
      "kv heads below zero",
      "lfm2",
      { "lfm2.attention.head_count_kv": Int32Array.of(0, 0, 2, 0, 2, -1) },
      {},
      /head_count_kv.*found -1/,
    ],
    [
      "attention of a convolution",
      "lfm2",
      {},
      { "blk.2.attn_q.weight": undefined },
      /blk\.2\.attn_q/,
    ],
    ["no convolution", "lfm2", {}, { "blk.3.shortconv.conv.weight": undefined }, /shortconv\.conv/],
    ["other taps", "lfm2", {}, { "blk.3.shortconv.conv.weight": [4, 76] }, /needed \[3, 76\]/],
    ["no state size", "qwen35", { "qwen35.ssm.state_size": undefined }, {}, /ssm\.state_size/],
    ["one row of a convolution", "qwen35", { "qwen35.ssm.conv_kernel": 1 }, {}, /conv_kernel.*1/],
    ["another inner size", "qwen35", { "qwen35.ssm.inner_size": 60 }, {}, /inner_size: is 60/],
    ["key heads that do not divide", "qwen35", { "qwen35.ssm.group_count": 4 }, {}, /4 does not/],
    ["no interval", "qwen35", { "qwen35.full_attention_interval": 0 }, {}, /interval: found 0/],
    ["too many that guess", "qwen35", { "qwen35.nextn_predict_layers": 6 }, {}, /nextn.*found 6/],
    [
      "RoPE beyond a head",
      "qwen35",
      { "qwen35.rope.dimension_count": 34 },
      {},
      /34 for heads of 32/,
    ],
    [
      "kinds of fewer layers",
      "qwen35",
      { "qwen35.attention.recurrent_layers": [true] },
      {},
      /1 entries/,
    ],
    [
      "a query without a gate",
      "qwen35",
      {},
      { "blk.2.attn_q.weight": [76, 192] },
      /needed \[76, 384\]/,
    ],
    ["no decay", "qwen35", {}, { "blk.0.ssm_a": undefined }, /blk\.0\.ssm_a.*missing/],
    ["no bias of steps", "qwen35", {}, { "blk.1.ssm_dt.bias": undefined }, /ssm_dt\.bias/],
    ["no embedding", "f32", {}, { "token_embd.weight": undefined }, /token_embd\.weight/],
    ["no last norm", "f32", {}, { "output_norm.weight": undefined }, /output_norm.*missing/],
    ["a missing bias", "qwen2", {}, { "blk.0.attn_k.bias": undefined }, /attn_k\.bias.*missing/],
    ["a missing norm", "qwen3", {}, { "blk.1.attn_q_norm.weight": undefined }, /attn_q_norm/],
    ["a missing post-norm", "gemma3", {}, { "blk.6.post_ffw_norm.weight": undefined }, /post_ffw/],
    ["a head of another height", "kquant", {}, { "output.weight": [256, 9] }, /output\.weight/],
    [
      "frequencies of other heads",
      "llama3",
      {},
      { "rope_freqs.weight": [32] },
      /rope_freqs.*\[64\]/,
    ],
  ])("%s is refused by name, before a weight is read", async (_, name, keys, tensors, message) => {
    const gguf = await changed(name, keys, tensors);
    expect(() => load(gguf)).toThrow(
      expect.objectContaining({
        code: "bad_model_file",
        message: expect.stringMatching(message),
        details: expect.objectContaining({ field: expect.any(String) }),
      }),
    );
  });

  it("fewer layers than there are is told by the tensors left over", async () => {
    const gguf = await changed("f32", { "llama.block_count": 1 });
    expect(() => load(gguf)).toThrow(/blk\.1\./);
  });
});
