/** Numbers that a family alone has, as its files give them. */
import { describe, expect, it } from "vitest";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { type Gguf, parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { layerFrequencies } from "../../../src/model/rope-tables.ts";
import { findTensors } from "../../../src/model/tensors.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";
import { type TinyName, tinyModel } from "../../reference/tiny-model/tiny-model.ts";

/** The configuration of a tiny model with keys changed; undefined takes one away. */
async function read(name: TinyName, keys: Record<string, unknown> = {}) {
  const source = new MemorySource(tinyModel(name), "tiny.gguf");
  const gguf = await parseGguf(source);
  const metadata = new Map<string, unknown>([...gguf.metadata, ...Object.entries(keys)]);
  for (const [key, value] of metadata) if (value === undefined) metadata.delete(key);
  const changed = { ...gguf, metadata } as Gguf;
  const config = configOf(changed);
  return { config, tensors: findTensors(source, changed, config) };
}

describe("granite", () => {
  it("divides the residual stream by its multiplier", async () => {
    const { config } = await read("granite");
    expect(config.embeddingScale).toBeCloseTo(12 / 0.22, 4);
    expect(config.normEpsilon).toBeCloseTo(1e-5 / 0.22 ** 2, 8);
    expect(config.logitScale).toBeCloseTo(1 / 3, 6);
    expect(config.attentionScale).toBeCloseTo(0.0625 * 1.3, 6);
    expect(config.gains).toBe(true);
  });

  it("is a Llama without multipliers, and where they are zero", async () => {
    const keys = ["embedding_scale", "residual_scale", "logit_scale"].map(
      (key) => `granite.${key}`,
    );
    for (const value of [undefined, 0]) {
      const none = Object.fromEntries(keys.map((key) => [key, value]));
      const { config } = await read("granite", { ...none, "granite.attention.scale": undefined });
      expect(config).toMatchObject({ embeddingScale: 1, logitScale: 1, gains: false });
      expect(config.normEpsilon).toBeCloseTo(1e-5, 8);
    }
  });

  it("sees no positions where the file says so", async () => {
    const { config } = await read("granite", { "granite.rope.scaling.finetuned": false });
    const angles = layerFrequencies(config).flatMap((layer) => [...layer]);
    expect(angles).toEqual(new Array(3 * 8).fill(0));
  });

  it.each([-1, Number.NaN, Infinity, "2"])("a multiplier of %s is a bad file", async (value) => {
    await expect(read("granite", { "granite.residual_scale": value })).rejects.toMatchObject({
      code: "bad_model_file",
      message: expect.stringContaining("granite.residual_scale"),
    });
  });
});

describe("mistral3", () => {
  it("keeps what turns often, slows what turns seldom, and goes over between them", async () => {
    const { config } = await read("mistral3");
    const [angles] = layerFrequencies(config);
    const share = Array.from(angles!, (angle, i) => angle * 10000 ** (i / 16));
    expect(share.slice(0, 2)).toEqual([1, 1]);
    expect(share.at(-1)).toBeCloseTo(1 / 16, 6);
    const between = share.filter((part) => part < 1 - 1e-9 && part > 1 / 16 + 1e-9);
    expect(between.length).toBeGreaterThan(1);
    expect(between).toEqual([...between].sort((a, b) => b - a));
    expect(config.ropeGain).toBe(1);
  });

  it("ends where a factor of the position would begin, and is Llama's block without one", async () => {
    expect((await read("mistral3")).config.contextLength).toBe(64);
    const { config } = await read("mistral3", { "mistral3.attention.temperature_scale": 0 });
    expect(config.contextLength).toBe(131072);
    const plain = await read("mistral3", { "mistral3.rope.scaling.type": "none" });
    expect(plain.config.ropeDivisors).toBeUndefined();
  });

  it.each([
    ["rope.scaling.factor", 0],
    ["rope.scaling.original_context_length", 0],
    ["rope.scaling.yarn_beta_fast", -1],
    ["rope.dimension_count", 8],
  ])("%s of %i is a bad file", async (key, value) => {
    await expect(read("mistral3", { [`mistral3.${key}`]: value })).rejects.toMatchObject({
      code: "bad_model_file",
      message: expect.stringContaining(key),
    });
  });
});

describe("phi3", () => {
  const DIMENSIONS = "phi3.rope.dimension_count";
  const FACTOR = "phi3.rope.scaling.attn_factor";
  const WINDOW = "phi3.attention.sliding_window";

  it("turns the first dimensions of a head alone", async () => {
    const { config } = await read("phi3");
    const [angles] = layerFrequencies(config);
    expect(angles).toHaveLength(8);
    expect([...angles!.subarray(6)]).toEqual([0, 0]);
    expect(Math.min(...angles!.subarray(0, 6))).toBeGreaterThan(0);
  });

  it("has the divisors of long texts where its context is longer than the first one", async () => {
    const last = async (context: number) => {
      const { tensors } = await read("phi3", { "phi3.context_length": context });
      return (await tensors.ropeFactors!.read()).at(-1);
    };
    expect(await last(131072)).toBeCloseTo(9, 4);
    expect(await last(21)).toBeCloseTo(9, 4);
    expect(await last(20)).toBeCloseTo(1.5, 4);
  });

  it("has the file's window in every layer, unless no chat gets there", async () => {
    const windows = async (window: unknown) =>
      (await read("phi3", { [WINDOW]: window })).config.windows;
    expect(await windows(undefined)).toEqual([0, 0, 0]);
    expect(await windows(0)).toEqual([0, 0, 0]);
    expect(await windows(13)).toEqual([13, 13, 13]);
    expect(await windows(262144)).toEqual([0, 0, 0]);
  });

  it.each<[string, string, unknown]>([
    ["an odd number of dimensions", DIMENSIONS, 7],
    ["more dimensions than a head has", DIMENSIONS, 18],
    ["a factor of zero", FACTOR, 0],
    ["a factor that is no number", FACTOR, "1"],
    ["a window that is no whole number", WINDOW, 1.5],
  ])("%s is a bad file", async (_, key, value) => {
    await expect(read("phi3", { [key]: value })).rejects.toMatchObject({
      code: "bad_model_file",
      message: expect.stringContaining(key),
    });
  });

  it("another scaling is refused by name", async () => {
    await expect(read("phi3", { "phi3.rope.scaling.type": "yarn" })).rejects.toMatchObject({
      code: "unsupported_model",
      message: expect.stringContaining('"yarn"'),
    });
  });
});
