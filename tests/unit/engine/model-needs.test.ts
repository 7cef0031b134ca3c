import { describe, expect, it } from "vitest";
import { assumedGpuBytes, fitOf, modelNeeds } from "../../../src/engine/memory/model-needs.ts";
import { findModel, MODELS } from "../../../src/fetch/resolve/model-registry.ts";

describe("what a known model needs", () => {
  it("is what models.json says at each budget", () => {
    expect(MODELS.length).toBeGreaterThanOrEqual(12);
    for (const entry of MODELS)
      for (const budget of [512, 2048, "full"] as const)
        expect(entry.needs[budget], `${entry.name} ${budget}`).toBe(modelNeeds(entry, budget));
  });

  it("adds pages of 4 P (D + 2) bytes to the weights", () => {
    const entry = findModel("smollm2-135m-instruct");
    expect(modelNeeds(entry, 512) - entry.bytes).toBe(30 * 3 * 16 * 4 * 32 * 66);
  });

  it("keeps a window's layers at their window", () => {
    const entry = findModel("gemma-3-270m-it");
    const grown = modelNeeds(entry, 2048) - modelNeeds(entry, 512);
    expect(grown).toBe(3 * 48 * 4 * 32 * 258);
  });

  it("says by how much a model is too big", () => {
    const entry = findModel("llama-3.2-3b-instruct");
    const needed = modelNeeds(entry, 512);
    expect(fitOf(entry, 512, needed)).toEqual({ fits: true, excess: 0 });
    expect(fitOf(entry, 512, needed - 7)).toEqual({ fits: false, excess: 7 });
  });

  it("assumes a total where WebGPU tells none", () => {
    expect(assumedGpuBytes({ maxBufferSize: 2 ** 31, deviceMemory: 8 })).toBe(4 * 2 ** 30);
    expect(assumedGpuBytes({ maxBufferSize: 2 ** 31 })).toBe(2 * 2 ** 30);
    expect(assumedGpuBytes({ maxBufferSize: 2 ** 26, deviceMemory: 8 })).toBe(2 ** 26);
  });
});
