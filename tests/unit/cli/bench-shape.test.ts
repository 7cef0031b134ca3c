import { describe, expect, test } from "vitest";
import { layerTypes, withLayers } from "../../../src/cli/bench/shape/layer-types.ts";
import { mixtureOf } from "../../../src/cli/bench/shape/q4-k-m.ts";
import { RandomModel } from "../../../src/cli/bench/shape/random-model.ts";
import { readShape, type ShapeConfig } from "../../../src/cli/bench/shape/shapes.ts";
import type { CommandFiles } from "../../../src/cli/command.ts";
import { bench } from "../../../src/cli/commands/bench.ts";
import { dequantize } from "../../../src/formats/ggml/dequantize.ts";
import { BLOCK, layoutOfType } from "../../../src/kernels/products/weight-layouts.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";

const filesWith = (text: string): CommandFiles =>
  ({ readText: async () => text }) as unknown as CommandFiles;
const named = (name: string): Promise<ShapeConfig> => readShape(name, filesWith(""));
const NAMES = [
  "llama-3.2-1b",
  "llama-3.2-3b",
  "qwen3-0.6b",
  "qwen3.5-0.8b",
  "gemma-4-e2b",
  "lfm2.5-1.2b",
];

describe("a model of random weights", () => {
  /** Bytes of files that people download, with a header of a few MB. */
  test.each([
    ["llama-3.2-1b", 807_694_464],
    ["llama-3.2-3b", 2_019_377_696],
    ["qwen3-0.6b", 396_705_472],
    ["lfm2.5-1.2b", 730_893_248],
  ])("%s has the bytes of a file in Q4_K_M, but for its header", async (name, bytes) => {
    const { size } = await RandomModel.of(name, await named(name));
    expect(bytes - size).toBeGreaterThan(0);
    expect(bytes - size).toBeLessThan(9e6);
  });

  test.each(NAMES)("%s takes little more on a GPU than in its file", async (name) => {
    const { gguf } = await RandomModel.of("x", await named(name));
    const matrices = [...gguf.tensors.values()].filter(({ shape }) => shape.length > 1);
    const sum = (bytes: readonly number[]) => bytes.reduce((all, one) => all + one, 0);
    const there = matrices.map(({ type, shape: [columns = 0, ...rows] }) => {
      const words = layoutOfType(type).streams.map((stream) => stream.words);
      return rows.reduce((product, n) => product * n, Math.ceil(columns / BLOCK)) * sum(words) * 4;
    });
    const ratio = sum(there) / sum(matrices.map(({ byteLength }) => byteLength));
    expect(ratio).toBeGreaterThan(1);
    expect(ratio).toBeLessThan(1.115);
  });

  test("Qwen3.5's layers are three of gated DeltaNet to one of attention", async () => {
    const model = await RandomModel.of("x", await named("qwen3.5-0.8b"));
    const { states, layers, hidden, ropeDims, headDim } = configOf(model.gguf);
    expect([states.length, layers, hidden, ropeDims, headDim]).toEqual([18, 6, 1024, 64, 256]);
  });

  test("Gemma 4 E2B has 2.3 billion weights besides its table, and borrows in 20 layers of 35", async () => {
    const { gguf } = await RandomModel.of("x", await named("gemma-4-e2b"));
    const weights = [...gguf.tensors].map(
      ([tensor, { shape }]) => [tensor, shape.reduce((all, n) => all * n, 1)] as const,
    );
    const table = weights.find(([tensor]) => tensor === "per_layer_token_embd.weight")![1];
    expect(table).toBe(262_144 * 35 * 256);
    const rest = weights.reduce((sum, [, count]) => sum + count, 0) - table;
    expect(rest / 1e9).toBeCloseTo(2.28, 2);
    const { blocks, layers, windows, headDim, layerwise } = configOf(gguf);
    expect([blocks.length, layers, headDim]).toEqual([35, 15, 512]);
    expect(blocks.filter(({ borrows }) => borrows)).toHaveLength(20);
    expect(windows.map((window) => window > 0)).toEqual(
      Array.from({ length: 15 }, (_, layer) => layer % 5 !== 4),
    );
    expect(layerwise!.headSizes.slice(0, 5)).toEqual([256, 256, 256, 256, 512]);
    expect([layerwise!.mlps[14], layerwise!.mlps[15]]).toEqual([6144, 12_288]);
  });

  test.each(NAMES)(
    "%s has weights of every type that are numbers, centred around 0",
    async (name) => {
      const model = await RandomModel.of(name, withLayers(await named(name), 4));
      const seen = new Set<string>();
      for (const { type, shape, offset, byteLength } of model.gguf.tensors.values()) {
        if (seen.has(type) || shape.length < 2) continue;
        seen.add(type);
        const row = byteLength / shape[1]!;
        const rows = Math.min(64, shape[1]!);
        const values = dequantize(type, await model.read(offset, rows * row), rows * shape[0]!);
        expect(values.every(Number.isFinite)).toBe(true);
        if (type === "F32") continue;
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        const square = values.reduce((sum, value) => sum + value ** 2, 0) / values.length;
        expect(Math.abs(mean), type).toBeLessThan(0.002);
        expect(Math.sqrt(square), type).toBeGreaterThan(0.015);
        expect(Math.sqrt(square), type).toBeLessThan(0.025);
      }
      expect([...seen]).toEqual(expect.arrayContaining(["Q4_K", "Q6_K"]));
    },
  );

  test("any part of it reads as the whole does", async () => {
    const model = await RandomModel.of("x", withLayers(await named("qwen3-0.6b"), 1));
    const { offset } = model.gguf.tensors.get("blk.0.attn_norm.weight")!;
    const [from, length] = [offset - 5000, 9000];
    const whole = await model.read(from, length);
    for (const [at, count] of [
      [0, 1],
      [4321, 2000],
      [8999, 1],
    ] as const)
      expect(await model.read(from + at, count)).toEqual(whole.slice(at, at + count));
  });
});

describe("the mixture Q4_K_M", () => {
  const typesOf = (part: string, layers: number, columns = 256): string =>
    mixtureOf(
      Array.from({ length: layers }, (_, layer) => ({
        name: `blk.${layer}.${part}.weight`,
        shape: [columns, 8],
      })),
    )
      .map((type) => type[1])
      .join("");

  test("has more bits in the first and the last eighth of the layers and in every third between", () => {
    expect(typesOf("ffn_down", 16)).toBe("6644644644644666".replaceAll(" ", ""));
    expect(typesOf("attn_v", 16)).toBe(typesOf("ffn_down", 16));
    expect(typesOf("attn_qkv", 16)).toBe(typesOf("ffn_down", 16));
    expect(typesOf("ffn_up", 16)).toBe("4".repeat(16));
  });

  test("takes blocks of 32 where a row is no multiple of 256, and leaves norms and convolutions", () => {
    expect(typesOf("ffn_up", 1, 96)).toBe("5");
    expect(typesOf("ffn_down", 1, 96)).toBe("8");
    expect(typesOf("ffn_up", 1, 100)).toBe("1");
    expect(typesOf("ssm_conv1d", 1, 4)).toBe("3");
  });

  test("the head has 6 bits, which is the embedding where there is no other", () => {
    const tensor = (name: string) => ({ name, shape: [256, 8] });
    expect(mixtureOf([tensor("token_embd.weight")])).toEqual(["Q6_K"]);
    expect(mixtureOf([tensor("token_embd.weight"), tensor("output.weight")])).toEqual([
      "Q4_K",
      "Q6_K",
    ]);
    const names = ["token_embd", "per_layer_token_embd", "per_layer_model_proj"];
    expect(mixtureOf(names.map((name) => tensor(`${name}.weight`)))).toEqual([
      "Q6_K",
      "Q6_K",
      "BF16",
    ]);
  });
});

describe("winnow bench --shape", () => {
  const read = (flags: Record<string, string | boolean>, text = "") =>
    bench.read(
      Object.fromEntries(Object.entries(flags).map(([name, value]) => [name, [value]])),
      filesWith(text),
    );

  test("fewer layers are the first of each kind and others in order", async () => {
    for (const [name, layers, types] of [
      ["qwen3.5-0.8b", 2, ["linear_attention", "full_attention"]],
      ["lfm2.5-1.2b", 3, ["conv", "conv", "full_attention"]],
      ["llama-3.2-1b", 1, ["full_attention"]],
    ] as const) {
      const { shape } = await read({ shape: name, layers: String(layers) });
      expect(layerTypes(shape!.kept)).toEqual(types);
      expect(layerTypes(shape!.whole).length).toBeGreaterThan(layers);
      const { gguf } = await RandomModel.of(name, shape!.kept);
      expect(configOf(gguf).blocks.map(({ kind }) => kind)).toEqual(
        types.map((type) => (type === "full_attention" ? "attention" : "state")),
      );
    }
  });

  test("keeps a layer of each kind of Gemma 4's: lenders, and those that borrow from them", async () => {
    const borrowing = ["sliding_attention, borrowing", "full_attention, borrowing"];
    for (const [layers, types] of [
      [4, ["sliding_attention", "full_attention", ...borrowing]],
      [5, ["sliding_attention", "sliding_attention", "full_attention", ...borrowing]],
    ] as const) {
      const { shape } = await read({ shape: "gemma-4-e2b", layers: String(layers) });
      expect(layerTypes(shape!.kept)).toEqual(types);
      const { gguf } = await RandomModel.of("x", shape!.kept);
      const { blocks, layerwise } = configOf(gguf);
      expect(blocks.slice(-2)).toEqual([
        { kind: "attention", index: layers - 4, borrows: true },
        { kind: "attention", index: layers - 3, borrows: true },
      ]);
      expect(layerwise!.mlps.slice(-3)).toEqual([6144, 12_288, 12_288]);
    }
    await expect(read({ shape: "gemma-4-e2b", layers: "3" })).rejects.toThrow(
      /--layers: must be from 4 to 35, not 3/,
    );
  });

  test("reads the config.json that Gemma 4's checkpoints have as its shape by name", async () => {
    const { sliding_window_pattern: pattern, ...text } = await named("gemma-4-e2b");
    const layerTypes = Array.from({ length: 35 }, (_, layer) =>
      (layer + 1) % Number(pattern) === 0 ? "full_attention" : "sliding_attention",
    );
    const file = {
      model_type: "gemma4",
      text_config: { ...text, layer_types: layerTypes, hidden_activation: "gelu_pytorch_tanh" },
    };
    const { shape } = await read({ shape: "config.json" }, JSON.stringify(file));
    const found = await RandomModel.of("x", shape!.kept);
    const expected = await RandomModel.of("x", await named("gemma-4-e2b"));
    expect(found.gguf).toEqual(expected.gguf);
  });

  test("takes a config.json, with the decoder one level down or not", async () => {
    const text = {
      model_type: "gemma3_text",
      hidden_size: 64,
      num_hidden_layers: 7,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      head_dim: 32,
      intermediate_size: 96,
      vocab_size: 300,
      sliding_window: 16,
      sliding_window_pattern: 6,
    };
    for (const config of [text, { model_type: "gemma3", text_config: text }]) {
      const { shape } = await read(
        { shape: "some/config.json", layers: "3" },
        JSON.stringify(config),
      );
      const { gguf } = await RandomModel.of("x", shape!.kept);
      const { windows, tiedHead, vocabulary } = configOf(gguf);
      expect({ windows: [...windows], tiedHead, vocabulary }).toEqual({
        windows: [16, 16, 0],
        tiedHead: true,
        vocabulary: 300,
      });
    }
  });

  test("asks for 512 and 8,192 tokens unless told otherwise", async () => {
    expect(await read({ shape: "llama-3.2-1b" })).toMatchObject({
      histories: [512, 8192],
      prompts: [512, 2048],
      budget: 512,
      kernels: false,
      eviction: false,
    });
  });

  test.each([
    [{ shape: "llama" }, "", /there is no "llama"/],
    [{ shape: "constructor" }, "", /there is no "constructor"/],
    [{ shape: "a.json" }, "[]", /a\.json is no config\.json/],
    [{ shape: "a.json" }, "{", /a\.json is no config\.json/],
    [{ shape: "a.json" }, "{}", /num_hidden_layers/],
    [{ shape: "qwen3.5-0.8b", layers: "1" }, "", /--layers: must be from 2 to 24/],
    [{ shape: "llama-3.2-1b", layers: "17" }, "", /--layers: must be an integer from 1 to 16/],
    [{ shape: "llama-3.2-1b", kernels: true }, "", /--kernels: does not go with --shape/],
    [{ shape: "llama-3.2-1b", model: "x.gguf" }, "", /--model: does not go with --shape/],
    [{ shape: "llama-3.2-1b", plan: "cpu" }, "", /--plan: belongs to --kernels or --eviction/],
    [{ kernels: true, layers: "2" }, "", /--layers: belongs to --shape/],
  ])("refuses %j", async (flags, text, message) => {
    await expect(read(flags, text)).rejects.toThrow(message);
  });

  test("an unknown name is answered with the names that there are", async () => {
    const error = await read({ shape: "qwen" }).catch((thrown: unknown) => thrown);
    for (const name of NAMES) expect((error as { hint: string }).hint).toContain(name);
  });
});
