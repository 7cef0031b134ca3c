import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { resolveModel } from "../../../src/fetch/resolve/resolve-model.ts";
import { MemoryStore } from "../../../src/fetch/store/memory-store.ts";
import { configMetadata } from "../../../src/formats/checkpoint/hub-config.ts";
import { writeSafetensors } from "../../../src/formats/checkpoint/write-safetensors.ts";
import { parseModel } from "../../../src/formats/parse-model.ts";
import { createTokenizer } from "../../../src/text/create-tokenizer.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";

const [H, G, D, E, F, V] = [2, 1, 4, 8, 6, 762];
const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/text-byte-level.json", import.meta.url), "utf8"),
) as {
  metadata: Record<string, unknown>;
  strings: string[];
  ids: Record<string, [number[], number[]][]>;
};
const tokens = fixture.metadata["tokenizer.ggml.tokens"] as string[];
const types = fixture.metadata["tokenizer.ggml.token_type"] as number[];

/** The same vocabulary as the tokenizer.json of Qwen 2 would have it. */
const tokenizer = {
  normalizer: { type: "NFC" },
  added_tokens: tokens.flatMap((content, id) =>
    types[id] === 1 ? [] : [{ id, content, special: types[id] === 3 }],
  ),
  pre_tokenizer: {
    type: "Sequence",
    pretokenizers: [
      {
        type: "Split",
        behavior: "Isolated",
        invert: false,
        pattern: {
          Regex:
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        },
      },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    ],
  },
  model: {
    type: "BPE",
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges: fixture.metadata["tokenizer.ggml.merges"],
  },
};
const tokenizerConfig = { eos_token: { content: "<|im_end|>" }, chat_template: "{{ messages }}" };
const config = {
  model_type: "llama",
  hidden_size: E,
  num_hidden_layers: 1,
  num_attention_heads: H,
  num_key_value_heads: G,
  intermediate_size: F,
  vocab_size: tokens.length,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 500000,
  tie_word_embeddings: true,
};

const counted = (rows: number, cols: number) => ({
  dtype: "F32" as const,
  shape: [rows, cols],
  values: Float32Array.from({ length: rows * cols }, (_, i) => i),
});
const vector = { dtype: "BF16" as const, shape: [E], values: new Float32Array(E).fill(1) };
const layer = "model.layers.0.";
const FIRST = {
  "model.embed_tokens.weight": counted(V, E),
  "model.norm.weight": vector,
  [`${layer}input_layernorm.weight`]: vector,
  [`${layer}post_attention_layernorm.weight`]: vector,
};
const SECOND = {
  [`${layer}self_attn.q_proj.weight`]: counted(H * D, E),
  [`${layer}self_attn.k_proj.weight`]: counted(G * D, E),
  [`${layer}self_attn.v_proj.weight`]: counted(G * D, E),
  [`${layer}self_attn.o_proj.weight`]: counted(E, H * D),
  [`${layer}mlp.gate_proj.weight`]: counted(F, E),
  [`${layer}mlp.up_proj.weight`]: counted(F, E),
  [`${layer}mlp.down_proj.weight`]: counted(E, F),
};
const json = (value: unknown): Uint8Array<ArrayBuffer> =>
  new Uint8Array(new TextEncoder().encode(JSON.stringify(value)));
const SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"] as const;
const weightMap = {
  ...Object.fromEntries(Object.keys(FIRST).map((key) => [key, SHARDS[0]])),
  ...Object.fromEntries(Object.keys(SECOND).map((key) => [key, SHARDS[1]])),
};
const REPOSITORY: Record<string, Uint8Array<ArrayBuffer>> = {
  "model.safetensors.index.json": json({ weight_map: weightMap }),
  [SHARDS[0]]: writeSafetensors({ tensors: FIRST }),
  [SHARDS[1]]: writeSafetensors({ tensors: SECOND }),
  "config.json": json(config),
  "tokenizer.json": json(tokenizer),
  "tokenizer_config.json": json(tokenizerConfig),
  "generation_config.json": json({ eos_token_id: [2, 5], do_sample: true }),
};
const drop = (changes: Record<string, Uint8Array<ArrayBuffer> | undefined> = {}): File[] =>
  Object.entries({ ...REPOSITORY, ...changes }).flatMap(([name, body]) =>
    body === undefined ? [] : [new File([body], name)],
  );

describe("a safetensors checkpoint", () => {
  it("shows itself as a GGUF: names, keys and q and k in interleaved order", async () => {
    const { source } = await resolveModel(drop());
    const { metadata, tensors } = await parseModel(source);
    expect(Object.fromEntries(metadata)).toMatchObject({
      "general.architecture": "llama",
      "llama.attention.head_count": H,
      "llama.attention.head_count_kv": G,
      "llama.attention.key_length": D,
      "llama.rope.freq_base": 500000,
      "tokenizer.ggml.eos_token_id": tokens.indexOf("<|im_end|>"),
      "tokenizer.chat_template": "{{ messages }}",
    });
    expect(tensors.get("blk.0.ffn_down.weight")).toMatchObject({ type: "F32", shape: [F, E] });
    expect(tensors.get("output_norm.weight")).toMatchObject({ type: "BF16", shape: [E] });
    expect(tensors.has("output.weight")).toBe(false);
    // llama.cpp's permute: reshape (heads, 2, D / 2, E), swap the middle two.
    const wanted: number[] = [];
    for (let head = 0; head < H; head++)
      for (let i = 0; i < D / 2; i++)
        for (let part = 0; part < 2; part++)
          for (let e = 0; e < E; e++) wanted.push(((head * 2 + part) * (D / 2) + i) * E + e);
    const { offset, byteLength } = tensors.get("blk.0.attn_q.weight")!;
    const whole = await source.read(offset, byteLength);
    expect([...new Float32Array(whole.slice().buffer)]).toEqual(wanted);
    for (const [at, length] of [
      [5, 40],
      [E * 4, E * 4],
      [byteLength - 3, 3],
    ] as const)
      expect(await source.read(offset + at, length)).toEqual(whole.slice(at, at + length));
    const v = tensors.get("blk.0.attn_v.weight")!;
    const plain = new Float32Array((await source.read(v.offset, v.byteLength)).slice().buffer);
    expect([...plain]).toEqual([...counted(G * D, E).values]);
  });

  it("of Mistral and SmolLM 3 has rows in that order too; what they do not share is refused", async () => {
    const open = async (changes: object) => {
      const { source } = await resolveModel(
        drop({ "config.json": json({ ...config, ...changes }) }),
      );
      const { metadata, tensors } = await parseModel(source);
      const { offset } = tensors.get("blk.0.attn_q.weight")!;
      const [second] = new Float32Array((await source.read(offset + E * 4, 4)).slice().buffer);
      return [metadata.get("general.architecture"), second];
    };
    // The second row is that of the other half.
    expect(await open({ model_type: "mistral" })).toEqual(["llama", (D / 2) * E]);
    expect(await open({ model_type: "smollm3" })).toEqual(["smollm3", (D / 2) * E]);
    expect(await open({ model_type: "qwen2" })).toEqual(["qwen2", E]);
    for (const changes of [
      { model_type: "mistral", sliding_window: 4096 },
      { model_type: "smollm3", no_rope_layers: [0, 1, 1, 1] },
      { model_type: "qwen2", use_sliding_window: true },
      { hidden_act: "relu" },
    ])
      await expect(open(changes)).rejects.toMatchObject({
        code: "unsupported_model",
        message: expect.stringContaining(Object.keys(changes).at(-1)!),
      });
  });

  it("has the tokenizer of tokenizer.json", async () => {
    const { metadata } = await parseModel((await resolveModel(drop())).source);
    const mine = await createTokenizer(metadata);
    expect(fixture.strings.map((text) => mine.encode(text))).toEqual(
      fixture.ids.qwen2!.map(([ids]) => ids),
    );
  });

  it("ends at every end that one of its files names", async () => {
    const ends = async (changes: Record<string, object | undefined>): Promise<number[]> => {
      const files = Object.fromEntries(
        Object.entries(changes).map(([name, value]) => [name, value && json(value)]),
      );
      const { metadata } = await parseModel((await resolveModel(drop(files))).source);
      return [...(await createTokenizer(metadata)).endTokens].sort((a, b) => a - b);
    };
    const withEnds = (eos_token_id: unknown) => ({ "config.json": { ...config, eos_token_id } });
    const generation = (eos_token_id: unknown) => ({
      "generation_config.json": { eos_token_id },
    });
    // 0 and 2 are ends by their spelling.
    expect(await ends({})).toEqual([0, 2, 5]);
    expect(await ends({ "generation_config.json": undefined })).toEqual([0, 2]);
    expect(await ends({ ...withEnds([7, 8, 9, 10]), ...generation(11) })).toEqual([
      0, 2, 7, 8, 9, 10, 11,
    ]);
    expect(await ends({ ...withEnds(7), ...generation([8, 9]) })).toEqual([0, 2, 7, 8, 9]);
    expect(await ends({ ...withEnds(null), ...generation(null) })).toEqual([0, 2]);
    expect(await ends({ ...withEnds([7]), "generation_config.json": [] })).toEqual([0, 2, 7]);
  });

  const refused = (config: object, tensors: object = {}) => {
    const files = {
      "config.json": json(config),
      [SHARDS[0]]: writeSafetensors({ tensors: { ...FIRST, ...tensors } }),
    };
    return resolveModel(drop(files)).then(async ({ source }) => {
      const gguf = await parseModel(source);
      return configOf(gguf);
    });
  };

  it.each<[string, object, string]>([
    ["experts", { num_local_experts: 8 }, "experts"],
    ["experts of another family", { model_type: "qwen3_moe" }, "experts"],
    ["a classifier", { architectures: ["LlamaForSequenceClassification"] }, "architectures"],
    ["a bare encoder", { architectures: ["LlamaModel"] }, "architectures"],
    ["quantised weights", { quantization_config: { quant_method: "gptq" } }, "gptq"],
    ["half of each head turned", { partial_rotary_factor: 0.5 }, "partial_rotary_factor"],
    ["YaRN", { rope_scaling: { type: "yarn", factor: 4 } }, "yarn"],
    ["LongRoPE", { rope_parameters: { rope_type: "longrope" } }, "longrope"],
    ["dynamic scaling", { rope_scaling: { rope_type: "dynamic", factor: 2 } }, "dynamic"],
    ["a factor of no kind", { rope_scaling: { factor: 2 } }, "rope_scaling.factor"],
    ["a factor of no kind, newer", { rope_parameters: { factor: 2 } }, "rope_scaling.factor"],
  ])("with %s is refused by name", async (_, changes, named) => {
    await expect(refused({ ...config, ...changes })).rejects.toMatchObject({
      code: "unsupported_model",
      message: expect.stringContaining(named),
    });
  });

  it("with tensors of experts, or of what is not known, is refused by name", async () => {
    for (const name of ["mlp.experts.0.w1", "block_sparse_moe.gate"])
      await expect(refused(config, { [`${layer}${name}.weight`]: vector })).rejects.toMatchObject({
        code: "unsupported_model",
        message: expect.stringMatching(/experts/),
      });
    const files = {
      [SHARDS[0]]: writeSafetensors({
        tensors: { ...FIRST, [`${layer}self_attn.sinks.weight`]: vector },
      }),
    };
    const { tensors } = await parseModel((await resolveModel(drop(files))).source);
    // By this name it is refused (src/model/tensors.ts), as it is in a GGUF.
    expect(tensors.has("blk.0.self_attn.sinks.weight")).toBe(true);
  });

  it("has linear RoPE by either name of it", () => {
    const keys = (changes: object) => configMetadata({ ...config, ...changes }).metadata;
    for (const rope of [
      { rope_scaling: { type: "linear", factor: 4 } },
      { rope_scaling: { rope_type: "linear", factor: 4 } },
      { rope_parameters: { rope_type: "linear", factor: 4, rope_theta: 500000 } },
    ]) {
      expect(keys(rope).get("llama.rope.scaling.factor")).toBe(4);
      expect(keys(rope).get("llama.rope.freq_base")).toBe(500000);
    }
    for (const rope of [{ rope_scaling: null }, { rope_scaling: { rope_type: "default" } }])
      expect(keys(rope).has("llama.rope.scaling.factor")).toBe(false);
    expect(() => keys({ rope_scaling: { type: "linear" } })).toThrow(
      expect.objectContaining({ code: "bad_model_file" }),
    );
  });

  it("may have tensors of other types that nobody reads, and none whose type has no name", async () => {
    const withType = (name: string, dtype: unknown): Uint8Array<ArrayBuffer> => {
      const bytes = REPOSITORY[SHARDS[0]]!;
      const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
      const header = JSON.parse(new TextDecoder().decode(bytes.slice(8, 8 + length)));
      header[name] = { dtype, shape: [1], data_offsets: [0, 8] };
      const text = new TextEncoder().encode(JSON.stringify(header));
      const size = new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer);
      return Uint8Array.from([...size, ...text, ...bytes.slice(8 + length)]);
    };
    const opened = (name: string, dtype: unknown) =>
      resolveModel(drop({ [SHARDS[0]]: withType(name, dtype) }));
    for (const type of ["I64", "toString"]) {
      const { notices } = await parseModel((await opened("model.position_ids", type)).source);
      expect(notices).toEqual([expect.stringContaining(`model.position_ids (${type})`)]);
      await expect(opened("model.embed_tokens.weight", type)).rejects.toMatchObject({
        code: "unsupported_model",
      });
    }
    for (const type of [{ name: "F32" }, ["I64"], undefined])
      await expect(opened("model.position_ids", type)).rejects.toMatchObject({
        code: "bad_model_file",
        message: expect.stringMatching(/position_ids\.dtype: .* is no name of a type/),
      });
  });

  it("comes from a repository, each file once", async () => {
    const asked: string[] = [];
    const fetch: typeof globalThis.fetch = async (input, init) => {
      if (String(input).includes("/api/")) return Response.json({});
      const name = String(input).split("/").at(-1)!;
      // What is stored is asked after by its first byte.
      if (new Headers(init?.headers).get("range") !== "bytes=0-0") asked.push(name);
      const body = REPOSITORY[name];
      if (body === undefined) return new Response("", { status: 404 });
      return new Response(body, { headers: { "content-length": String(body.length) } });
    };
    const store = new MemoryStore();
    const hub = { repo: "a/b", file: "model.safetensors.index.json" };
    for (let round = 0; round < 2; round++) {
      const model = await resolveModel(hub, { fetch, store });
      await model.verified();
      expect((await parseModel(model.source)).tensors.size).toBe(11);
    }
    expect(asked.toSorted()).toEqual(Object.keys(REPOSITORY).toSorted());
  });

  it.each([
    ["a shard is missing", { [SHARDS[1]]: undefined }, SHARDS[1]],
    ["config.json is missing", { "config.json": undefined }, "config.json"],
    ["tokenizer.json is missing", { "tokenizer.json": undefined }, "tokenizer.json"],
    [
      "the config has another width",
      { "config.json": json({ ...config, hidden_size: 16 }) },
      "hidden_size",
    ],
    [
      "the config has more layers",
      { "config.json": json({ ...config, num_hidden_layers: 2 }) },
      "num_hidden_layers",
    ],
    [
      "the config has fewer layers",
      { "config.json": json({ ...config, num_hidden_layers: 0 }) },
      "num_hidden_layers",
    ],
    ["a header is damaged", { [SHARDS[0]]: json({}).slice(0, 1) }, SHARDS[0]],
  ])("is refused where %s, and says which", async (_, changes, named) => {
    await expect(resolveModel(drop(changes))).rejects.toMatchObject({
      code: "bad_model_file",
      message: expect.stringContaining(named),
    });
  });

  it("is refused where its family or tokenizer is not supported", async () => {
    const kinds = { "config.json": json({ ...config, model_type: "mamba" }) };
    await expect(resolveModel(drop(kinds))).rejects.toMatchObject({
      code: "unsupported_model",
      message: expect.stringContaining("mamba"),
    });
    const unigram = { "tokenizer.json": json({ model: { type: "Unigram", vocab: {} } }) };
    await expect(resolveModel(drop(unigram))).rejects.toMatchObject({ code: "unsupported_model" });
  });

  it("has Llama 3's frequency divisors as the tensor a GGUF has", () => {
    const scaling = {
      rope_type: "llama3",
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    };
    const scaled = { ...config, head_dim: 64, rope_scaling: scaling };
    const factors = configMetadata(scaled).ropeFactors["rope_freqs.weight"]!;
    expect(factors).toHaveLength(32);
    expect(factors[0]).toBe(1);
    expect(factors[31]).toBe(32);
    // Every divisor lies between, and none falls.
    expect([...factors]).toEqual([...factors].toSorted((a, b) => a - b));
    expect(() => configMetadata({ ...config, rope_scaling: { rope_type: "yarn" } })).toThrow(
      expect.objectContaining({ code: "unsupported_model" }),
    );
  });
});
