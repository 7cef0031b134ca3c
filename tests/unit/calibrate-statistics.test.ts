import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { LayerSequence } from "../../calibrate/attention-sample.ts";
import { AttentionSample } from "../../calibrate/attention-sample.ts";
import { calibrate } from "../../calibrate/calibrate.ts";
import { headAttention, MASS_BUDGETS } from "../../calibrate/head-attention.ts";
import { NormStatistics } from "../../calibrate/norm-statistics.ts";
import { fitPoisson } from "../../calibrate/poisson.ts";
import type { QueryBatch, QuerySource } from "../../calibrate/query-source.ts";
import { queryStatistics } from "../../calibrate/query-statistics.ts";
import { seededRandom } from "../../calibrate/sampling.ts";
import { rotate } from "../reference/rope.ts";
import fixture from "./fixtures/statistics.json" with { type: "json" };

const { heads, kvHeads, headDim } = fixture.shape;

/** What the fixture's binary holds: filters [G, D], then queries, keys and norms of each sequence. */
function readFixture(): { filters: Float32Array; sequences: LayerSequence[] } {
  const bytes = readFileSync(new URL("fixtures/statistics.bin", import.meta.url));
  const values = new Float32Array(new Uint8Array(bytes).buffer);
  let at = 0;
  const take = (count: number) => {
    at += count;
    return values.slice(at - count, at);
  };
  const filters = take(kvHeads * headDim);
  const sequences = fixture.sequences.map(({ tokens, positions }) => ({
    tokens,
    positions: Uint32Array.from(positions),
    queries: take(positions.length * heads * headDim),
    keys: take(tokens * kvHeads * headDim),
    valueNorms: take(tokens * kvHeads),
  }));
  expect(at).toBe(values.length);
  return { filters, sequences };
}

const { filters, sequences } = readFixture();
const shape = { ...fixture.shape, inverseFrequencies: fixture.inverseFrequencies };

describe("statistics against PyTorch", () => {
  it.each(fixture.heads.map((expected, head) => ({ head, expected })))(
    "queries before RoPE: mean, pair lengths, covariance, kv head $head",
    ({ head, expected }) => {
      const count = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
      const rows = new Float32Array(count * heads * headDim);
      const positions = new Uint32Array(count);
      let at = 0;
      for (const one of sequences) {
        rows.set(one.queries, at * heads * headDim);
        positions.set(one.positions, at);
        at += one.positions.length;
      }
      const sampled = { rows, positions, count };
      const found = queryStatistics(sampled, head, shape, shape.inverseFrequencies, true);
      const near = (values: Float64Array, wanted: number[]) => {
        expect(values.length).toBe(wanted.length);
        for (const [i, value] of values.entries()) expect(value).toBeCloseTo(wanted[i]!, 6);
      };
      near(found.mean, expected.mean);
      near(found.headMeans, expected.headMeans);
      near(found.abs, expected.abs);
      near(found.covariance!, expected.covariance);
      const without = queryStatistics(sampled, head, shape, shape.inverseFrequencies, false);
      expect(without.covariance).toBeUndefined();
      near(without.mean, expected.mean);
    },
  );

  it.each(fixture.heads.map((expected, head) => ({ head, expected })))(
    "attention: age fit and kept mass, kv head $head",
    ({ head, expected }) => {
      expect(MASS_BUDGETS).toEqual(fixture.budgets);
      const filter = filters.subarray(head * headDim, (head + 1) * headDim);
      const { ageFit, mass } = headAttention(sequences, head, filter, shape)!;
      for (const [i, value] of ageFit.entries()) expect(value).toBeCloseTo(expected.ageFit[i]!, 4);
      for (const [i, share] of mass.entries()) expect(share).toBeCloseTo(expected.mass[i]!, 4);
      // Of another head's filter it is another fit: the comparison can fail.
      const other = headAttention(
        sequences,
        head,
        filter.map((x, i) => (i ? -x : x)),
        shape,
      )!;
      expect(Math.abs(other.ageFit[0] - ageFit[0])).toBeGreaterThan(0.01);
    },
  );

  it("leaves attention out where there is none", () => {
    expect(headAttention([], 0, filters, shape)).toBeUndefined();
  });
});

describe("fitPoisson", () => {
  const draw = (count: number) => {
    const random = seededRandom(5);
    return Float32Array.from({ length: count }, () => 2 * random() - 1);
  };

  it("recovers the coefficients of data without noise", () => {
    const both = draw(1000);
    const x1 = both.slice(0, 500);
    const x2 = both.slice(500);
    const y = x1.map((u, i) => Math.exp(-6 + 1.5 * u - 0.7 * x2[i]!));
    const { coefficients, converged } = fitPoisson({ y, x1, x2, count: 500 });
    expect(converged).toBe(true);
    for (const [i, wanted] of [-6, 1.5, -0.7].entries())
      expect(coefficients[i]).toBeCloseTo(wanted, 5);
  });

  it("gives 0 to a covariate without variance, and to data without events", () => {
    const x1 = draw(100);
    const x2 = new Float32Array(100);
    const y = x1.map((u) => Math.exp(u));
    const flat = fitPoisson({ y, x1, x2, count: 100 }).coefficients;
    expect(flat[1]).toBeCloseTo(1, 5);
    expect(flat[2]).toBe(0);
    expect(fitPoisson({ y: x2, x1, x2, count: 100 }).coefficients).toEqual([0, 0, 0]);
  });
});

/** One on a pair that RoPE turns fast, one on a pair that it hardly turns. */
const OFFSETS: Readonly<Record<number, number>> = { 0: 2, 3: 4 };

/** Pre-RoPE queries, keys and values by (layer, position, dimension), in chunks of `rows`. */
function source(lengths: readonly number[], layers = 2, rows = 40): QuerySource {
  const value = (kind: number, layer: number, sequence: number, t: number, i: number) =>
    Math.sin(1 + i * (kind + 1) + 0.7 * t * (layer + 1) + sequence) + (OFFSETS[i] ?? 0);
  const block = (
    kind: number,
    layer: number,
    sequence: number,
    start: number,
    count: number,
    n: number,
    turned: boolean,
  ) => {
    const out = new Float32Array(count * n * headDim);
    for (let row = 0; row < count; row++)
      for (let head = 0; head < n; head++) {
        const plain = Float64Array.from({ length: headDim }, (_, i) =>
          value(kind + head, layer, sequence, start + row, i),
        );
        const x = turned ? rotate(plain, start + row, shape.inverseFrequencies) : plain;
        out.set(x, (row * n + head) * headDim);
      }
    return out;
  };
  return {
    ...shape,
    layers,
    rows: lengths.reduce((sum, length) => sum + length, 0),
    async *batches() {
      for (const [sequence, length] of lengths.entries())
        for (let start = 0; start < length; start += rows) {
          const count = Math.min(rows, length - start);
          for (let layer = 0; layer < layers; layer++) {
            yield {
              layer,
              rows: count,
              start,
              queries: block(0, layer, sequence, start, count, heads, true),
              keys: block(10, layer, sequence, start, count, kvHeads, true),
              values: block(20, layer, sequence, start, count, kvHeads, false),
            };
          }
        }
    },
  };
}

describe("one pass", () => {
  it("gathers everything, the same for the same seed and any chunks", async () => {
    const first = await calibrate(source([200, 150]), { samples: 300, seed: 3, agreement: true });
    const again = await calibrate(source([200, 150], 2, 64), {
      samples: 300,
      seed: 3,
      agreement: true,
    });
    expect(again).toEqual(first);
    const other = await calibrate(source([200, 150]), { samples: 300, seed: 4 });
    expect(other.statistics.queryMean).not.toEqual(first.statistics.queryMean);
    const { queryMean, queryAbs, queryCovariance, ageFit, headMass, keyValueNorms } =
      first.statistics;
    const all = 2 * kvHeads;
    expect(queryMean).toHaveLength(all * headDim);
    expect(queryAbs).toHaveLength((all * headDim) / 2);
    expect(queryCovariance).toHaveLength(all * headDim * headDim);
    expect(ageFit).toHaveLength(all * 4);
    expect(keyValueNorms).toHaveLength(all * 4);
    expect(headMass!.values).toHaveLength(all * MASS_BUDGETS.length);
    // The first dimension's mean of 2 is there before RoPE, and would not be after it.
    for (let head = 0; head < all; head++) {
      expect(queryMean![head * headDim]).toBeGreaterThan(1.5);
      const shares = headMass!.values.subarray(
        head * MASS_BUDGETS.length,
        (head + 1) * MASS_BUDGETS.length,
      );
      for (const [i, share] of shares.entries())
        expect(share).toBeGreaterThanOrEqual(i ? shares[i - 1]! - 1e-6 : 0);
      expect(shares.at(-1)).toBe(1);
    }
    expect(first.agreement!.halves.flat()).toHaveLength(all);
    for (const cosine of first.agreement!.halves.flat()) expect(cosine).toBeGreaterThan(0.9);
    expect(first.agreement!.convergence.map(({ samples }) => samples)).toEqual([50, 100, 200]);
  });

  it("leaves out what a source of queries alone cannot tell", async () => {
    const whole = source([100]);
    const queriesAlone: QuerySource = {
      ...whole,
      async *batches(signal) {
        for await (const { layer, rows, start, queries } of whole.batches(signal))
          yield { layer, rows, start, queries };
      },
    };
    const { statistics } = await calibrate(queriesAlone, { samples: 50 });
    expect(Object.keys(statistics).sort()).toEqual([
      "queryAbs",
      "queryCovariance",
      "queryHeadMean",
      "queryMean",
    ]);
  });

  it("leaves a covariance of more than 16 MB out and says so", async () => {
    const wide = 256;
    const big: QuerySource = {
      layers: 65,
      heads: 1,
      kvHeads: 1,
      headDim: wide,
      inverseFrequencies: new Float64Array(wide / 2),
      async *batches() {
        for (let layer = 0; layer < 65; layer++)
          yield { layer, rows: 2, start: 0, queries: new Float32Array(2 * wide).fill(1) };
      },
    };
    const { statistics, notices } = await calibrate(big, { samples: 2 });
    expect(statistics.queryCovariance).toBeUndefined();
    expect(statistics.queryMean).toHaveLength(65 * wide);
    expect(notices).toEqual([expect.stringContaining("covariances would take 16.3 MB")]);
  }, 30_000);

  it("hears an abort between heads", async () => {
    const control = new AbortController();
    const run = calibrate(source([100]), {
      samples: 50,
      signal: control.signal,
      onProgress: ({ stage }) => {
        if (stage === "filters") control.abort();
      },
    });
    await expect(run).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("AttentionSample", () => {
  const small = { layers: 2, heads: 2, kvHeads: 1, headDim: 2 };
  const batch = (layer: number, sequence: number, start: number, rows: number): QueryBatch => ({
    layer,
    rows,
    start,
    queries: Float32Array.from(
      { length: rows * 4 },
      (_, i) => sequence * 1000 + start + (i >> 2) + layer / 2,
    ),
    keys: Float32Array.from({ length: rows * 2 }, (_, i) => sequence * 1000 + start + (i >> 1)),
    values: new Float32Array(rows * 2).fill(3),
  });

  it("keeps whole sequences, the same in all layers, and one query of each stride", () => {
    const sample = new AttentionSample(small, 1);
    for (let sequence = 0; sequence < 20; sequence++)
      for (let start = 0; start < 64; start += 32)
        for (const layer of [0, 1]) sample.offer(batch(layer, sequence, start, 32));
    const [first, second] = [sample.take(0), sample.take(1)];
    expect(first).toHaveLength(4);
    expect(sample.take(0)).toEqual([]);
    const names = first.map(({ keys }) => keys[0]! / 1000);
    expect(new Set(names).size).toBe(4);
    expect(Math.max(...names)).toBeGreaterThan(3);
    for (const [i, one] of first.entries()) {
      expect(one.tokens).toBe(64);
      expect(Array.from(one.keys)).toEqual(
        Array.from({ length: 128 }, (_, n) => names[i]! * 1000 + (n >> 1)),
      );
      for (const norm of one.valueNorms) expect(norm).toBeCloseTo(Math.sqrt(18), 5);
      expect(Array.from(one.positions, (p) => Math.floor(p / 16))).toEqual([0, 1, 2, 3]);
      for (const [n, position] of one.positions.entries())
        expect(one.queries[n * 4]).toBe(names[i]! * 1000 + position);
      expect(second[i]!.positions).toEqual(one.positions);
      expect(second[i]!.queries[0]).toBe(one.queries[0]! + 0.5);
    }
  });
});

describe("NormStatistics", () => {
  it("has the mean and std of |k| and ln |v|", () => {
    const norms = new NormStatistics({ layers: 1, heads: 1, kvHeads: 2, headDim: 2 });
    const lengths = [1, 2, 3, 6];
    const vectors = (scale: number) =>
      Float32Array.from(lengths.flatMap((x) => [scale * x * 0.6, scale * x * 0.8]));
    expect(norms.result()).toBeUndefined();
    norms.add({
      layer: 0,
      rows: 2,
      start: 0,
      queries: new Float32Array(4),
      keys: vectors(1),
      values: vectors(2),
    });
    const result = norms.result()!;
    // Head 0 has lengths 1 and 3, head 1 has 2 and 6.
    const expected = [2, 1, Math.log(2) + Math.log(3) / 2, Math.log(3) / 2];
    for (const [i, value] of expected.entries()) expect(result[i]).toBeCloseTo(value, 5);
    expect(result[4]).toBeCloseTo(4, 5);
    expect(result[5]).toBeCloseTo(2, 5);
  });
});
