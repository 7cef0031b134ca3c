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
  it.each(["phi2", "mamba", "granitehybrid", "qwen3next", "toString", ""])(
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
