/** Files that are odd but harmless load, and say what was passed over; what would give other answers is refused. */
import { describe, expect, it } from "vitest";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { type Gguf, parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { parseModel } from "../../../src/formats/parse-model.ts";
import { isPlain } from "../../../src/model/architectures.ts";
import { layerFrequencies } from "../../../src/model/rope-tables.ts";
import { findTensors } from "../../../src/model/tensors.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";
import {
  type MetadataInput,
  type TensorInput,
  writeGguf,
} from "../../reference/tiny-model/gguf-writer.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";

const noBytes = new MemorySource(new Uint8Array(0), "none");
const load = (gguf: Gguf) => findTensors(noBytes, gguf, configOf(gguf));

const write = (metadata: Record<string, MetadataInput>, tensors: TensorInput[] = []) =>
  parseGguf(new MemorySource(writeGguf({ metadata, tensors }), "odd.gguf"));

const tiny = parseGguf(new MemorySource(tinyModel("f32"), "tiny.gguf"));
const gemma = parseGguf(new MemorySource(tinyModel("gemma3"), "tiny.gguf"));

/** The tiny model with keys changed, and tensors of types that are not read. */
async function changed(
  keys: Record<string, unknown>,
  unreadable: Record<string, string> = {},
  from = tiny,
): Promise<Gguf> {
  const gguf = await from;
  const metadata = new Map<string, unknown>([...gguf.metadata, ...Object.entries(keys)]);
  for (const [key, value] of metadata) if (value === undefined) metadata.delete(key);
  const tensors = new Map(gguf.tensors);
  for (const name of Object.keys(unreadable)) tensors.delete(name);
  return {
    ...gguf,
    metadata: metadata as Gguf["metadata"],
    tensors,
    unreadable: new Map(Object.entries(unreadable)),
  };
}

const u32 = (...numbers: number[]): Uint8Array => new Uint8Array(Uint32Array.from(numbers).buffer);
const u64 = (...numbers: number[]): Uint8Array =>
  new Uint8Array(BigUint64Array.from(numbers, BigInt).buffer);
const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((p) => [...p]));

describe("metadata", () => {
  it("in Latin-1 is read as such, and said", async () => {
    const muller = Uint8Array.of(0x4d, 0xfc, 0x6c, 0x6c, 0x65, 0x72);
    const { metadata, notices } = await write({
      "general.author": { typeId: 8, bytes: join(u64(6), muller) },
      "general.tags": {
        typeId: 9,
        bytes: join(u32(8), u64(2), u64(6), muller, u64(1), Uint8Array.of(0xe9)),
      },
    });
    expect(metadata.get("general.author")).toBe("Müller");
    expect(metadata.get("general.tags")).toEqual(["Müller", "é"]);
    expect(notices).toEqual([
      expect.stringMatching(/^general\.author.*Latin-1/),
      expect.stringMatching(/^general\.tags.*Latin-1/),
    ]);
  });

  it("may nest its arrays, to a depth", async () => {
    const pair = (n: number) => join(u32(4), u64(2), u32(n, n + 1));
    const nested = join(u32(9), u64(3), pair(1), pair(3), join(u32(8), u64(0)));
    const { metadata, notices } = await write({
      "x.pairs": { typeId: 9, bytes: nested },
      "x.z": 7,
    });
    expect(metadata.get("x.pairs")).toEqual([Uint32Array.of(1, 2), Uint32Array.of(3, 4), []]);
    expect(metadata.get("x.z")).toBe(7);
    expect(notices).toEqual([]);
    const deep = join(...Array.from({ length: 40 }, () => join(u32(9), u64(1))), pair(1));
    await expect(write({ "x.deep": { typeId: 9, bytes: deep } })).rejects.toMatchObject({
      code: "bad_model_file",
      details: { field: "x.deep" },
    });
  });

  it("may have empty arrays of any type, and numbers past 2^53", async () => {
    const empty = (type: number) => ({ typeId: 9, bytes: join(u32(type), u64(0)) });
    const { metadata } = await write({
      "x.none": empty(9),
      "x.strings": empty(8),
      "x.floats": empty(6),
      "x.large": 2n ** 64n - 1n,
    });
    expect(metadata.get("x.none")).toEqual([]);
    expect(metadata.get("x.strings")).toEqual([]);
    expect(metadata.get("x.large")).toBe(2n ** 64n - 1n);
  });
});

describe("tensors of types that are not read", () => {
  const odd = (name: string, typeId: number): TensorInput => ({
    name,
    type: "F32",
    typeId,
    shape: [2],
    data: new Uint8Array(16),
  });

  it("are passed over and named, whatever their order", async () => {
    const good: TensorInput = {
      name: "good",
      type: "F32",
      shape: [2],
      data: Float32Array.of(1, 2),
    };
    const all = [odd("a", 26), good, odd("b", 27), odd("c", 28), odd("d", 21), odd("e", 999)];
    const { tensors, unreadable, notices } = await write({}, all);
    expect([...tensors.keys()]).toEqual(["good"]);
    expect([...unreadable]).toEqual([
      ["a", "I32"],
      ["b", "I64"],
      ["c", "F64"],
      ["d", "IQ3_S"],
      ["e", "type 999"],
    ]);
    expect(notices).toEqual([expect.stringContaining("a (I32), b (I64), c (F64) and 2 more")]);
  });

  it("do no harm where nobody asks for them", async () => {
    expect(load(await changed({}, { "tokens.extra": "I32" })).layers).toHaveLength(2);
  });

  it.each([
    ["token_embd.weight", "IQ3_S"],
    ["output.weight", "IQ2_S"],
    ["output_norm.weight", "F64"],
    ["rope_freqs.weight", "F64"],
    ["blk.1.ffn_up.weight", "IQ1_M"],
  ])("are refused where the model needs them: %s", async (name, type) => {
    const gguf = await changed({}, { [name]: type });
    expect(() => load(gguf)).toThrow(
      expect.objectContaining({
        code: "unsupported_model",
        message: expect.stringMatching(`${name}.*${type}`),
      }),
    );
  });

  it.each(["blk.0.attn_sinks", "rope_factors_long.weight", "token_embd_norm.weight"])(
    "are refused where some model computes with them: %s",
    async (name) => {
      const gguf = await changed({}, { [name]: "I32" });
      expect(() => load(gguf)).toThrow(expect.objectContaining({ code: "unsupported_model" }));
    },
  );
});

describe("numbers a layer", () => {
  const keys = ["attention.head_count", "attention.head_count_kv", "feed_forward_length"];

  it.each(keys)("%s is taken where all layers have the same", async (key) => {
    const name = `llama.${key}`;
    const value = (await tiny).metadata.get(name) as number;
    for (const array of [
      Uint32Array.of(value, value),
      Int32Array.of(value, value),
      BigInt64Array.of(BigInt(value), BigInt(value)),
    ])
      expect(configOf(await changed({ [name]: array }))).toEqual(configOf(await tiny));
  });

  it.each(keys)("%s is refused by name where they differ", async (key) => {
    const gguf = await changed({ [`llama.${key}`]: Uint32Array.of(2, 4) });
    expect(() => configOf(gguf)).toThrow(
      expect.objectContaining({
        code: "unsupported_model",
        message: expect.stringContaining(`llama.${key}: differs`),
      }),
    );
    const none = await changed({ [`llama.${key}`]: new Uint32Array(0) });
    expect(() => configOf(none)).toThrow(expect.objectContaining({ code: "bad_model_file" }));
  });

  it("may say which layers have a sliding window", async () => {
    const pattern = [false, true, true, true, true, false, true];
    const key = "gemma3.attention.sliding_window_pattern";
    const { windows } = configOf(await changed({ [key]: pattern }, {}, gemma));
    expect(windows).toEqual([0, 13, 13, 13, 13, 0, 13]);
    const few = await changed({ [key]: [true] }, {}, gemma);
    expect(() => configOf(few)).toThrow(/1 entries for 7 layers/);
  });
});

describe("RoPE", () => {
  const divisor = async (keys: Record<string, unknown>) =>
    configOf(await changed(keys)).ropeDivisor;

  it.each<[string, Record<string, unknown>, number]>([
    ["a factor without a type is linear", { "llama.rope.scaling.factor": 4 }, 4],
    ["below 1 too", { "llama.rope.scaling.factor": 0.5 }, 0.5],
    ["the older key likewise", { "llama.rope.scale_linear": 8 }, 8],
    [
      "the newer key goes before it",
      { "llama.rope.scale_linear": 8, "llama.rope.scaling.factor": 2 },
      2,
    ],
    ["zero is no factor", { "llama.rope.scaling.factor": 0 }, 1],
    [
      "type none scales nothing",
      { "llama.rope.scaling.type": "none", "llama.rope.scaling.factor": 4 },
      1,
    ],
    ["no key at all", {}, 1],
    ["type linear", { "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 }, 4],
  ])("%s", async (_, keys, wanted) => {
    expect(await divisor(keys)).toBe(wanted);
  });

  it("turns by the angle divided by the factor", async () => {
    const [plain] = layerFrequencies(configOf(await tiny));
    const [scaled] = layerFrequencies(configOf(await changed({ "llama.rope.scaling.factor": 4 })));
    expect([...scaled!]).toEqual([...plain!].map((f) => f / 4));
  });

  it("without a base has llama.cpp's", async () => {
    expect(configOf(await changed({ "llama.rope.freq_base": undefined })).ropeBase).toBe(10000);
  });

  it.each<[string, Record<string, unknown>, RegExp]>([
    ["yarn", { "llama.rope.scaling.type": "yarn" }, /"yarn"/],
    ["longrope", { "llama.rope.scaling.type": "longrope" }, /"longrope"/],
    ["a kind nobody knows", { "llama.rope.scaling.type": "ntk" }, /"ntk"/],
    ["a type that is a number", { "llama.rope.scaling.type": 2 }, /"2"/],
    ["an attention factor", { "llama.rope.scaling.attn_factor": 1.2 }, /attention factor 1\.2/],
  ])("%s is refused by name", async (_, keys, message) => {
    const gguf = await changed({ "llama.rope.scaling.factor": 4, ...keys });
    expect(() => configOf(gguf)).toThrow(
      expect.objectContaining({
        code: "unsupported_model",
        message: expect.stringMatching(message),
      }),
    );
  });

  it.each([-2, Number.NaN, Infinity, "4"])("a factor of %s is a bad file", async (factor) => {
    const gguf = await changed({ "llama.rope.scaling.factor": factor });
    expect(() => configOf(gguf)).toThrow(expect.objectContaining({ code: "bad_model_file" }));
  });
});

describe("what is no dense decoder of text is refused by name, from the header", () => {
  it.each<[string, Record<string, unknown>, RegExp]>([
    ["experts", { "llama.expert_count": 8 }, /llama\.expert_count: 8.*mixture of 8 experts/],
    ["experts a layer", { "llama.expert_count": Uint32Array.of(0, 4) }, /mixture of 4 experts/],
    ["an architecture of experts", { "general.architecture": "qwen3moe" }, /experts/],
    ["a projector", { "general.architecture": "clip" }, /projector/],
    ["a projector by type", { "general.type": "mmproj" }, /general\.type.*projector/],
    ["an adapter", { "general.type": "adapter" }, /general\.type.*adapter \(LoRA\)/],
    ["an importance matrix", { "general.type": "imatrix" }, /importance matrix/],
    ["a type nobody knows", { "general.type": "poem" }, /"poem"/],
    ["BERT", { "general.architecture": "nomic-bert" }, /embedding/],
    ["pooling", { "llama.pooling_type": 3 }, /pooling_type: 3.*embedding/],
    ["attention both ways", { "llama.attention.causal": false }, /causal.*looks ahead/],
    ["diffusion", { "general.architecture": "llada" }, /diffusion/],
    ["diffusion by a key", { "diffusion.shift_logits": true }, /diffusion/],
  ])("%s", async (_, keys, message) => {
    const gguf = await changed(keys);
    expect(() => configOf(gguf)).toThrow(
      expect.objectContaining({
        code: "unsupported_model",
        message: expect.stringMatching(message),
        details: expect.objectContaining({ field: expect.any(String) }),
      }),
    );
  });

  it.each([
    "blk.0.ffn_gate_exps.weight",
    "blk.0.ffn_up_shexp.weight",
    "blk.1.ffn_gate_inp.weight",
    "blk.0.ffn_gate.3.weight",
  ])("experts by a tensor: %s", async (name) => {
    const gguf = await changed({}, { [name]: "IQ2_XS" });
    expect(() => configOf(gguf)).toThrow(
      expect.objectContaining({
        code: "unsupported_model",
        message: expect.stringMatching(/experts/),
      }),
    );
  });

  it("zero experts and no pooling are a dense decoder", async () => {
    const keys = { "llama.expert_count": 0, "llama.expert_used_count": 0, "llama.pooling_type": 0 };
    expect(configOf(await changed({ ...keys, "general.type": "model" }))).toEqual(
      configOf(await tiny),
    );
  });

  it("a plain Llama is not even asked after", async () => {
    expect([isPlain(await tiny), isPlain(await gemma)]).toEqual([true, false]);
  });

  it("a part whose first is missing says so", async () => {
    const part = writeGguf({
      metadata: { "split.no": 1, "split.count": 2, "split.tensors.count": 1 },
      tensors: [],
    });
    await expect(parseModel(new MemorySource(part, "second.gguf"))).rejects.toMatchObject({
      code: "bad_model_file",
      message: expect.stringMatching(/one of 2 parts/),
    });
  });
});

describe("Gemma 4's layers that borrow keys and values", () => {
  const gemma4 = parseGguf(new MemorySource(tinyModel("gemma4"), "tiny.gguf"));
  const withTensor = async (name: string, shape: readonly number[]): Promise<Gguf> => {
    const gguf = await gemma4;
    const tensor = { ...gguf.tensors.get("blk.0.attn_norm.weight")!, name, shape };
    return { ...gguf, tensors: new Map([...gguf.tensors, [name, tensor]]) };
  };

  // Layer 5 has a window and heads of 16, layer 6 has none and heads of 48; as in the files that people download.
  it.each([
    ["blk.5.attn_k.weight", [76, 32]],
    ["blk.5.attn_v.weight", [76, 32]],
    ["blk.5.attn_k_norm.weight", [16]],
    ["blk.6.attn_k.weight", [76, 96]],
    ["blk.6.attn_k_norm.weight", [48]],
  ])("may have %s, which nothing reads", async (name, shape) => {
    const plain = load(await gemma4);
    const found = load(await withTensor(name, shape));
    const { layers } = found;
    expect(layers.map(({ qkv }) => qkv.length)).toEqual(plain.layers.map(({ qkv }) => qkv.length));
    expect(layers[5]!.qkv).toHaveLength(1);
  });

  it("may have no other tensors that are not known", async () => {
    const gguf = await withTensor("blk.5.attn_k.bias", [32]);
    expect(() => load(gguf)).toThrow(expect.objectContaining({ code: "unsupported_model" }));
  });
});
