import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import {
  type Calibration,
  type Filters,
  readCalibration,
  readFilters,
  spreadLayers,
  validateFilters,
} from "../../../src/cache/filters-file.ts";
import { writeCalibration, writeFilters } from "../../../src/cache/write-filters.ts";
import { readSafetensors } from "../../../src/formats/checkpoint/safetensors.ts";
import { writeSafetensors } from "../../../src/formats/checkpoint/write-safetensors.ts";

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
    const known = {
      modelSha256: "ab".repeat(32),
      textsSha256: ["cd", "ef"],
      samples: 3000,
      seed: 7,
      modelName: "tiny",
    };
    expect(readFilters(writeFilters(filters(known)))).toEqual(filters(known));
    expect(readFilters(writeFilters(filters()))).toEqual(filters());
  });

  it("reads a file of the safetensors package, and values survive to the bit", () => {
    const url = new URL("../../model/fixtures/filters.safetensors", import.meta.url);
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

describe("calibration file", () => {
  const wave = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.cos(i));
  const whole = (): Calibration => ({
    filters: filters({ modelSha256: "ab", seed: 0, samples: 9 }),
    statistics: {
      queryMean: wave(48),
      queryAbs: wave(12),
      queryCovariance: wave(96),
      ageFit: wave(24),
      keyValueNorms: wave(24),
      scoreFit: wave(48),
      headLoss: {
        budgets: [32, 64, 128],
        values: wave(18),
        reread: { budgets: [0, 512], values: wave(12) },
      },
    },
  });

  it("returns what was written, all of it or filters alone", () => {
    expect(readCalibration(writeCalibration(whole()))).toEqual(whole());
    const plain = { filters: filters(), statistics: {} };
    expect(readCalibration(writeCalibration(plain))).toEqual(plain);
    expect(readFilters(writeCalibration(whole()))).toEqual(whole().filters);
  });

  it("has the names and shapes that other programs read", () => {
    const { metadata, tensors } = readSafetensors(writeCalibration(whole()));
    const shapes = Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]));
    expect(shapes).toEqual({
      q_filters: [2, 3, 4],
      q_mean: [2, 3, 2, 4],
      q_abs: [2, 3, 2],
      q_cov: [2, 3, 4, 4],
      age_fit: [2, 3, 4],
      k_stats: [2, 3, 4],
      score_fit: [2, 3, 8],
      head_loss: [2, 3, 3],
      reread_loss: [2, 3, 2],
    });
    expect(Object.fromEntries(metadata)).toEqual({
      version: "3",
      model_sha256: "ab",
      samples: "9",
      seed: "0",
      head_loss_budgets: "32 64 128",
      reread_loss_budgets: "0 512",
    });
  });

  it("refuses statistics that do not fit the filters", () => {
    const tensor = (shape: number[]) => ({
      dtype: "F32" as const,
      shape,
      values: wave(shape.reduce((product, n) => product * n, 1)),
    });
    const base = { q_filters: tensor([2, 3, 4]) };
    expect(() =>
      readCalibration(writeSafetensors({ tensors: { ...base, q_mean: tensor([2, 3, 5]) } }), "f"),
    ).toThrow(bad("f: q_mean has shape [2, 3, 5], expected [2, 3, 4]"));
    expect(() =>
      readCalibration(writeSafetensors({ tensors: { ...base, head_loss: tensor([2, 3, 5]) } })),
    ).toThrow(bad("head_loss has shape [2, 3, 5], expected [2, 3, 0]"));
    const poisoned = whole();
    poisoned.statistics.ageFit![5] = Number.NaN;
    expect(() => readCalibration(writeCalibration(poisoned))).toThrow(
      bad("age_fit holds values that are not finite"),
    );
    expect(() =>
      readCalibration(writeSafetensors({ tensors: { ...base, q_mean: tensor([2, 3, 2, 5]) } })),
    ).toThrow(bad("q_mean has shape [2, 3, 2, 5], expected [2, 3, 2, 4]"));
    const others = { ...base, something_else: tensor([7]) };
    expect(readCalibration(writeSafetensors({ tensors: others })).statistics).toEqual({});
  });

  it("reads files of version 2, with one mean query a group", () => {
    const tensor = (shape: number[], values: Float32Array) => ({
      dtype: "F32" as const,
      shape,
      values,
    });
    const file = writeSafetensors({
      metadata: { version: "2", head_mass_budgets: "16 64" },
      tensors: {
        q_filters: tensor([2, 3, 4], wave(24)),
        q_mean: tensor([2, 3, 4], wave(24)),
        head_mass: tensor([2, 3, 2], wave(12)),
      },
    });
    expect(readCalibration(file).statistics).toEqual({ queryMean: wave(24) });
  });

  it("spreads the layers under the budget over all of a model's", () => {
    const wide = spreadLayers(whole(), [1, 4], 5);
    expect(wide.filters.layers).toBe(5);
    for (const [narrow, spread] of [
      [whole().filters.values, wide.filters.values],
      [whole().statistics.queryAbs!, wide.statistics.queryAbs!],
      [whole().statistics.headLoss!.values, wide.statistics.headLoss!.values],
    ] as const) {
      const size = narrow.length / 2;
      expect(spread).toHaveLength(5 * size);
      expect(spread.subarray(size, 2 * size)).toEqual(narrow.subarray(0, size));
      expect(spread.subarray(4 * size)).toEqual(narrow.subarray(size));
      for (const layer of [0, 2, 3])
        expect(spread.subarray(layer * size, (layer + 1) * size).every((x) => x === 0)).toBe(true);
    }
  });
});
