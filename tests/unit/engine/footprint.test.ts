import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { assumedGpuBytes } from "../../../src/engine/memory/assumed-bytes.ts";
import { cacheBytes, catalogueFootprint, footprint } from "../../../src/engine/memory/footprint.ts";
import { findModel, MODELS } from "../../../src/fetch/resolve/model-registry.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { type Gguf, parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { misfit } from "../../../src/gpu/memory.ts";
import type { ModelConfig } from "../../../src/model/config.ts";
import { findTensors, type ModelTensors } from "../../../src/model/tensors.ts";
import { configOf } from "../../reference/tiny-model/config-of.ts";
import { TINY_MODELS, TINY_VOCAB, tinyModel } from "../../reference/tiny-model/tiny-model.ts";

describe("the footprint of a model, from its header", () => {
  let tensors: ModelTensors;
  let config: ModelConfig;
  beforeAll(async () => {
    const source = new MemorySource(tinyModel("f32"), "tiny.gguf");
    const gguf = await parseGguf(source);
    config = configOf(gguf);
    tensors = findTensors(source, gguf, config);
  });
  const plan = (budget: number | "full") =>
    footprint(tensors, config, resolveCacheSettings({ budget }));

  it("equals hand arithmetic on the tiny f32 model", () => {
    const { layers: L, heads: H, kvHeads: G, headDim: D, hidden: E, mlp: F } = TINY_MODELS.f32;
    const V = TINY_VOCAB;
    const layer = 2 * E + H * D * E + 2 * G * D * E + E * H * D + 3 * F * E;
    const rope = (256 + 131072 / 256 + 1) * D; // cos and sin of D/2 angles a row
    // Of the default policy: coefficients, filter, the expected query of each of the group's heads, pair weights.
    const scoring = 16 + D + (H / G) * D + D / 2;
    const weights = 4 * (V * E + L * layer + E + L * G * (D + scoring) + rope);
    const rows = 4 + E + Math.max(E, H * D) + (H + 2 * G) * D + H * D + H + F;
    const partials = H * 32 * (D + 2);
    const B = 2048; // rows of a prompt block
    const moves = G * (1 + 2 * B);
    const block = G * B * (D + 2) + B * (4 + E);
    const { weights: w, activations, kv } = plan(512);
    expect(w).toBe(weights);
    expect(kv).toBe(L * G * 512 * (2 * D * 2 + 8));
    const fixed = 4 * (128 * rows + 16 * V + block + moves + 2 * V);
    expect(activations - fixed).toBe(4 * partials);
  });

  it("rounds a budget up to whole pages of 32 slots, and counts one page a head for an open end", () => {
    const slot = 2 * 2 * (2 * 16 * 2 + 8); // L G (2 D f16 + position and score)
    expect(plan(96).kv).toBe(96 * slot);
    expect(plan(97).kv).toBe(128 * slot);
    expect(plan("full").kv).toBe(32 * slot);
  });

  it("counts layers kept whole up to the model's last position", () => {
    const head = 2 * (2 * 16 * 2 + 8); // G (2 D f16 + position and score)
    const whole = (wholeLayers: number, budget: number | "full" = 96) =>
      footprint(tensors, config, resolveCacheSettings({ budget, wholeLayers })).kv;
    expect(config.contextLength % 32).toBe(0);
    expect(whole(1)).toBe((96 + config.contextLength) * head);
    expect(whole(2)).toBe(2 * config.contextLength * head);
    // Nothing to tell apart where all is open.
    expect(whole(1, "full")).toBe(2 * 32 * head);
  });

  it("leaves a window as it is in a layer kept whole", () => {
    const windowed = { ...config, windows: [64, 0] };
    const budget = { budget: 96, wholeLayers: 1 } as const;
    expect(cacheBytes(windowed, budget)).toBe((64 + 96) * 2 * (2 * 16 * 2 + 8));
  });

  it("passes at the limit and says the bytes one below it", () => {
    const wanted = plan(512);
    const needed = wanted.weights + wanted.kv + wanted.activations;
    expect(misfit("the model", wanted, Number.POSITIVE_INFINITY)).toBeUndefined();
    expect(misfit("the model", wanted, needed)).toBeUndefined();
    const memoryLimit = needed - 1;
    const error = misfit("the model", wanted, memoryLimit);
    expect(error).toMatchObject({
      code: "out_of_memory",
      message: expect.stringContaining(`the model needs ${needed} bytes of GPU memory`),
      hint: expect.stringContaining("budget"),
      details: { ...wanted, needed, memoryLimit },
    });
    expect(error?.message).toContain(`the limit is ${memoryLimit}`);
  });
});

describe("what is in a file and is not loaded", () => {
  const weightsOf = (source: MemorySource, gguf: Gguf) => {
    const config = configOf(gguf);
    return footprint(findTensors(source, gguf, config), config, resolveCacheSettings({})).weights;
  };

  it("counts nothing: keys and values of layers that borrow others'", async () => {
    const file = new URL("../../model/fixtures/converted-gemma4.gguf", import.meta.url);
    const source = new MemorySource(new Uint8Array(readFileSync(file)), "converted-gemma4.gguf");
    const gguf = await parseGguf(source);
    const borrowing = [...configOf(gguf).blocks.entries()].filter(([, { borrows }]) => borrows);
    expect(borrowing.length).toBeGreaterThan(0);
    const published = new Map(gguf.tensors);
    for (const [block, { index }] of borrowing)
      for (const part of ["k", "v"]) {
        const [name, lent] = [block, index].map((layer) => `blk.${layer}.attn_${part}.weight`);
        published.set(name!, gguf.tensors.get(lent!)!);
      }
    expect(weightsOf(source, { ...gguf, tensors: published })).toBe(weightsOf(source, gguf));
  });
});

describe("the footprint of a model of the catalogue", () => {
  const needs = (name: string, budget: number, wholeLayers = 0): number => {
    const { weights, kv } = catalogueFootprint(findModel(name), { budget, wholeLayers });
    return weights + kv;
  };

  it("is what models.json says at each budget", () => {
    expect(MODELS.length).toBeGreaterThanOrEqual(12);
    for (const { name, budget, needs: said, contextLength } of MODELS) {
      expect(said[budget], name).toBe(needs(name, budget));
      expect(said[2048], name).toBe(needs(name, 2048));
      expect(said.full, name).toBe(needs(name, contextLength));
    }
  });

  it("adds pages of 4 P (D + 2) bytes to the weights", () => {
    const { name, bytes } = findModel("smollm2-135m-instruct");
    expect(needs(name, 512) - bytes).toBe(30 * 3 * 16 * 4 * 32 * 66);
  });

  it("leaves out the table that stays in the file", () => {
    const { name, bytes, tableBytes = 0 } = findModel("gemma-4-e2b-it");
    expect(tableBytes).toBe(262144 * ((35 * 256 * 176) / 256)); // Q5_K
    expect(needs(name, 512)).toBe(bytes - tableBytes + 15 * 16 * 4 * 32 * 514);
  });

  it("keeps a window's layers at their window, and counts few of them among whole layers", () => {
    const { name, contextLength, cache } = findModel("gemma-3-270m-it");
    const page = 4 * 32 * 258;
    expect(needs(name, 2048) - needs(name, 512)).toBe(3 * 48 * page);
    expect(needs(name, 512, cache.windowLayers)).toBe(needs(name, 512));
    const pages = (contextLength - 512) / 32;
    expect(needs(name, 512, cache.layers) - needs(name, 512)).toBe(3 * pages * page);
  });
});

it("a total is assumed where WebGPU tells none", () => {
  expect(assumedGpuBytes({ maxBufferSize: 2 ** 31, deviceMemory: 8 })).toBe(4 * 2 ** 30);
  expect(assumedGpuBytes({ maxBufferSize: 2 ** 31 })).toBe(2 * 2 ** 30);
  expect(assumedGpuBytes({ maxBufferSize: 2 ** 26, deviceMemory: 8 })).toBe(2 ** 26);
});

/** MB in src/eval/RESULTS.md, "What a budget buys on each kind of model": every pair of 8,192 tokens, 512 pairs, these in q8. */
it.each([
  ["smollm2-135m-instruct", 194.6, 12.2, 6.5],
  ["llama-3.2-1b-instruct", 276.8, 17.3, 9.2],
  ["qwen3-0.6b", 954.2, 59.6, 30.7],
  ["granite-4.0-350m", 242.2, 15.1, 8.0],
  ["phi-4-mini-instruct", 1090.5, 68.2, 35.1],
  ["gemma-3-270m-it", 33.3, 9.5, 4.8],
  ["gemma-4-e2b-it", 63.2, 15.8, 8.0],
  ["lfm2.5-1.2b-instruct", 105.3, 8.0, 4.9],
  ["qwen3.5-0.8b", 162.1, 66.9, 63.8],
])("a budget buys on %s what the results say", (name, every, few, q8) => {
  const entry = { ...findModel(name), contextLength: 8192 };
  const megabytes = (budget: number, storage: "f16" | "q8"): number => {
    const settings = resolveCacheSettings({ budget, policy: "k-norm" }, entry.cache.layers);
    return Number((catalogueFootprint(entry, settings, storage).kv / 1e6).toFixed(1));
  };
  expect([megabytes(8192, "f16"), megabytes(512, "f16"), megabytes(512, "q8")]).toEqual([
    every,
    few,
    q8,
  ]);
});
