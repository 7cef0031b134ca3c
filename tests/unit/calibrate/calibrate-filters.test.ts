import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { calibrate } from "../../../calibrate/calibrate.ts";
import type { QueryBatch, QuerySource } from "../../../calibrate/source/query-source.ts";
import fixture from "../fixtures/calibrate.json" with { type: "json" };

type Case = (typeof fixture.cases)[number];

const queriesOf = (file: string): Float32Array => {
  const bytes = readFileSync(new URL(`../fixtures/${file}`, import.meta.url));
  return new Float32Array(new Uint8Array(bytes).buffer);
};

/** The fixture's rows as one layer, or as several layers with the heads rotated, in odd batches. */
function source(test: Case, layers = 1, batchRows = 37): QuerySource {
  const { heads, kvHeads, headDim, rows } = test;
  const queries = queriesOf(test.file);
  const size = heads * headDim;
  async function* batches(): AsyncGenerator<QueryBatch> {
    for (let start = 0; start < rows; start += batchRows) {
      const count = Math.min(batchRows, rows - start);
      for (let layer = 0; layer < layers; layer++) {
        const batch = queries.slice(start * size, (start + count) * size);
        // Layer 1 holds the negated queries: its filters are those of layer 0, negated.
        yield { layer, rows: count, start, queries: layer % 2 ? batch.map((x) => -x) : batch };
      }
    }
  }
  const frequencies = Array.from({ length: layers }, () => new Float64Array(headDim / 2));
  return { layers, heads, kvHeads, headDim, frequencies, rows, batches };
}

const cosine = (a: Float32Array, b: readonly number[]) => {
  let ab = 0;
  let aa = 0;
  let bb = 0;
  a.forEach((x, i) => {
    ab += x * b[i]!;
    aa += x * x;
    bb += b[i]! * b[i]!;
  });
  return ab / Math.sqrt(aa * bb);
};

const withCode = (code: string, text = "") =>
  expect.objectContaining({ code, message: expect.stringContaining(text) });

describe("calibrate", () => {
  it.each(fixture.cases)("equals torch.linalg.svd of the reference: $name", async (test) => {
    const result = await calibrate(source(test), { samples: test.rows });
    expect(result).toMatchObject({ layers: 1, kvHeads: test.kvHeads, headDim: test.headDim });
    const group = test.heads / test.kvHeads;
    test.filters.forEach((expected, g) => {
      const found = result.filters.subarray(g * test.headDim, (g + 1) * test.headDim);
      // Signed: 0.9999 with the same sign. And not renormalised: same length, value by value.
      expect(cosine(found, expected)).toBeGreaterThan(0.9999);
      for (const [i, x] of found.entries()) expect(x).toBeCloseTo(expected[i]!, 4);
      const shares = test.explained.slice(g * group, (g + 1) * group);
      const mean = shares.reduce((sum, x) => sum + x, 0) / group;
      expect(result.explained[0]![g]).toBeCloseTo(mean, 5);
    });
  });

  it("keeps layers apart and turns filters with their queries", async () => {
    const test = fixture.cases[0]!;
    const { filters } = await calibrate(source(test, 2), { samples: test.rows });
    const half = filters.length / 2;
    for (let i = 0; i < half; i++) expect(filters[half + i]).toBeCloseTo(-filters[i]!, 5);
  });

  it("depends on the seed only through the sample, and not on the batches", async () => {
    const test = fixture.cases[0]!;
    const run = (seed: number, batchRows: number) =>
      calibrate(source(test, 1, batchRows), { samples: 100, seed });
    const first = await run(1, 37);
    expect((await run(1, 200)).filters).toEqual(first.filters);
    const other = await run(2, 37);
    expect(other.filters).not.toEqual(first.filters);
    // The signs of heads that are hardly one-sided may differ between samples; their shares do not.
    for (const [g, share] of other.explained[0]!.entries())
      expect(share).toBeCloseTo(first.explained[0]![g]!, 1);
  });

  it("reports progress of both stages", async () => {
    const test = fixture.cases[1]!;
    const seen: string[] = [];
    const onProgress = (p: { stage: string; loaded: number; total: number }) =>
      seen.push(`${p.stage} ${p.loaded}/${p.total}`);
    await calibrate(source(test, 2, 64), { samples: 100, onProgress });
    expect(seen).toEqual([
      "queries 64/256",
      "queries 128/256",
      "queries 192/256",
      "queries 256/256",
      "filters 1/2",
      "filters 2/2",
    ]);
  });

  it("stops when aborted, before and between batches", async () => {
    const test = fixture.cases[1]!;
    await expect(
      calibrate(source(test), { samples: 9, signal: AbortSignal.abort() }),
    ).rejects.toThrow(withCode("aborted"));
    const control = new AbortController();
    let batches = 0;
    const onProgress = () => {
      batches++;
      control.abort();
    };
    const options = { samples: 9, signal: control.signal, onProgress };
    await expect(calibrate(source(test), options)).rejects.toThrow(withCode("aborted"));
    expect(batches).toBe(1);
  });

  it("refuses texts that are too short, known beforehand or not", async () => {
    const test = fixture.cases[1]!;
    const problem = withCode("invalid_argument", "128 tokens, but 3000 samples");
    await expect(calibrate(source(test))).rejects.toThrow(problem);
    const unknown = { ...source(test), rows: undefined } as unknown as QuerySource;
    await expect(calibrate(unknown)).rejects.toThrow(problem);
  });

  it.each([0, -1, 1.5, Number.NaN])("refuses %d samples", async (samples) => {
    const run = calibrate(source(fixture.cases[1]!), { samples });
    await expect(run).rejects.toThrow(withCode("invalid_argument", "samples"));
  });

  it("refuses a source that contradicts itself", async () => {
    const test = fixture.cases[0]!;
    const bad = { ...source(test), kvHeads: 4 };
    await expect(calibrate(bad)).rejects.toThrow(withCode("invalid_argument", "6 query heads"));
    const wrongLayer: QuerySource = {
      ...source(test),
      async *batches() {
        yield { layer: 1, rows: 1, start: 0, queries: new Float32Array(6 * 16) };
      },
    };
    await expect(calibrate(wrongLayer, { samples: 9 })).rejects.toThrow(
      withCode("internal", "layer 1"),
    );
    const short: QuerySource = {
      ...source(test),
      async *batches() {
        yield { layer: 0, rows: 2, start: 0, queries: new Float32Array(6 * 16) };
      },
    };
    await expect(calibrate(short, { samples: 9 })).rejects.toThrow(
      withCode("internal", "need 192"),
    );
    const poisoned: QuerySource = {
      ...source(test),
      async *batches() {
        yield {
          layer: 0,
          rows: 9,
          start: 0,
          queries: new Float32Array(9 * 6 * 16).fill(Number.NaN),
        };
      },
    };
    await expect(calibrate(poisoned, { samples: 9 })).rejects.toThrow(
      withCode("internal", "finite"),
    );
  });
});
