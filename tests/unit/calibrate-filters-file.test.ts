import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type Filters,
  readFilters,
  validateFilters,
  writeFilters,
} from "../../src/cache/filters-file.ts";
import { writeSafetensors } from "../../src/formats/safetensors.ts";

const SHAPE = { layers: 2, kvHeads: 3, headDim: 4 };
const filters = (extra: Partial<Filters> = {}): Filters => ({
  ...SHAPE,
  values: Float32Array.from({ length: 24 }, (_, i) => Math.sin(i + 1)),
  ...extra,
});
const bad = (text: string) =>
  expect.objectContaining({ code: "bad_filters", message: expect.stringContaining(text) });

describe("filters file", () => {
  it("returns what was written, with and without metadata", () => {
    const known = { modelSha256: "ab".repeat(32), textsSha256: ["cd", "ef"], samples: 3000 };
    expect(readFilters(writeFilters(filters(known)))).toEqual(filters(known));
    expect(readFilters(writeFilters(filters()))).toEqual(filters());
  });

  it("reads a file of the safetensors package, and values survive to the bit", () => {
    const url = new URL("../model/fixtures/filters.safetensors", import.meta.url);
    const bytes = new Uint8Array(readFileSync(url));
    const read = readFilters(bytes, "filters.safetensors");
    const modelSha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
    validateFilters(read, { layers: 30, kvHeads: 3, headDim: 64, modelSha256 });
    expect(read.samples).toBe(3000);
    expect(readFilters(writeFilters(read)).values).toEqual(read.values);
    // A mean of three unit vectors is at most a unit vector.
    for (let at = 0; at < read.values.length; at += 64) {
      const norm = Math.hypot(...read.values.subarray(at, at + 64));
      expect(norm).toBeGreaterThan(0.2);
      expect(norm).toBeLessThan(1.00001);
    }
  });

  it("refuses files without q_filters of three dimensions", () => {
    const tensor = { dtype: "F32" as const, shape: [6, 4], values: filters().values };
    const other = writeSafetensors({ tensors: { weights: tensor } });
    expect(() => readFilters(other, "f.safetensors")).toThrow(
      bad("f.safetensors: no tensor q_filters; found weights"),
    );
    const flat = writeSafetensors({ tensors: { q_filters: tensor } });
    expect(() => readFilters(flat)).toThrow(bad("shape [6, 4]"));
    expect(() => readFilters(new Uint8Array(3))).toThrow(bad("header length"));
    const cut = writeFilters(filters()).subarray(0, -4);
    expect(() => readFilters(cut)).toThrow(bad("q_filters"));
  });
});

describe("validateFilters", () => {
  it("accepts filters that fit, whether or not they name their model", () => {
    validateFilters(filters(), SHAPE);
    validateFilters(filters(), { ...SHAPE, modelSha256: "aa" });
    validateFilters(filters({ modelSha256: "aa" }), SHAPE);
    validateFilters(filters({ modelSha256: "aa" }), { ...SHAPE, modelSha256: "aa" });
  });

  it("says what was found and what the model needs", () => {
    for (const key of ["layers", "kvHeads", "headDim"] as const) {
      const expected = { ...SHAPE, [key]: 9 };
      const wanted = `[${expected.layers}, ${expected.kvHeads}, ${expected.headDim}]`;
      expect(() => validateFilters(filters(), expected)).toThrow(bad(`needs ${wanted}`));
      expect(() => validateFilters(filters(), expected)).toThrow(bad("found [2, 3, 4]"));
    }
    const short = filters({ values: new Float32Array(20).fill(1) });
    expect(() => validateFilters(short, SHAPE)).toThrow(bad("20 values"));
    expect(() =>
      validateFilters(filters({ modelSha256: "aa" }), { ...SHAPE, modelSha256: "bb" }),
    ).toThrow(bad("found model_sha256 aa, expected bb"));
  });

  it("names the head whose values are unusable", () => {
    const nan = filters().values.slice();
    nan[17] = Number.NaN;
    expect(() => validateFilters(filters({ values: nan }), SHAPE)).toThrow(
      bad("layer 1, kv head 1: holds values that are not finite"),
    );
    const zero = filters().values.slice().fill(0, 8, 12);
    expect(() => validateFilters(filters({ values: zero }), SHAPE)).toThrow(
      bad("layer 0, kv head 2: is all zero"),
    );
  });
});
