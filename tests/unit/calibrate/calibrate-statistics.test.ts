import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fitPoisson } from "../../../calibrate/attention/poisson.ts";
import { rankingTimes } from "../../../calibrate/attention/score-fit.ts";
import { calibrate } from "../../../calibrate/calibrate.ts";
import { LayerStatistics } from "../../../calibrate/layer-statistics.ts";
import { NormStatistics } from "../../../calibrate/queries/norm-statistics.ts";
import type { LayerSequence } from "../../../calibrate/source/attention-sample.ts";
import { AttentionSample } from "../../../calibrate/source/attention-sample.ts";
import type { QueryBatch, QuerySource } from "../../../calibrate/source/query-source.ts";
import type { HeadStatistics } from "../../../src/cache/filters-file.ts";
import { seededRandom } from "../../../src/random.ts";
import { rotate } from "../../reference/twins/attention/rope.ts";
import fixture from "../fixtures/statistics.json" with { type: "json" };

const { heads, kvHeads, headDim } = fixture.shape;

/** What the fixture's binary holds: filters [G, D], output [E, H D], then queries, keys, values and lengths of each sequence. */
function readFixture(): {
  filters: Float32Array;
  output: Float32Array;
  sequences: LayerSequence[];
} {
  const bytes = readFileSync(new URL("../fixtures/statistics.bin", import.meta.url));
  const values = new Float32Array(new Uint8Array(bytes).buffer);
  let at = 0;
  const take = (count: number) => {
    at += count;
    return values.slice(at - count, at);
  };
  const filters = take(kvHeads * headDim);
  const output = take(fixture.hidden * heads * headDim);
  const sequences = fixture.sequences.map(({ tokens, positions }) => ({
    tokens,
    positions: Uint32Array.from(positions),
    queries: take(positions.length * heads * headDim),
    keys: take(tokens * kvHeads * headDim),
    values: take(tokens * kvHeads * headDim),
    residual: take(tokens),
  }));
  expect(at).toBe(values.length);
  return { filters, output, sequences };
}

const { filters, output, sequences } = readFixture();
const shape = { ...fixture.shape, frequencies: [fixture.inverseFrequencies] };

/** All statistics of the fixture's layer. */
function layerStatistics(
  parts: { sequences: readonly LayerSequence[]; output: Float32Array | undefined },
  withCovariance = true,
  filter = filters,
): HeadStatistics {
  const count = sequences.reduce((sum, { positions }) => sum + positions.length, 0);
  const rows = new Float32Array(count * heads * headDim);
  const positions = new Uint32Array(count);
  let at = 0;
  for (const one of sequences) {
    rows.set(one.queries, at * heads * headDim);
    positions.set(one.positions, at);
    at += one.positions.length;
  }
  const statistics = new LayerStatistics({ ...shape, async *batches() {} }, withCovariance);
  for (let head = 0; head < kvHeads; head++) {
    const own = filter.subarray(head * headDim, (head + 1) * headDim);
    statistics.add(0, head, { rows, positions, count }, parts, own);
  }
  return statistics.result();
}

describe("statistics against PyTorch", () => {
  const found = layerStatistics({ sequences, output });
  const near = (values: Float32Array, wanted: readonly number[][], digits: number) => {
    const all = wanted.flat();
    expect(values.length).toBe(all.length);
    for (const [i, value] of values.entries())
      expect(value, `value ${i}`).toBeCloseTo(all[i]!, digits);
  };

  it("queries before RoPE: means, pair lengths, covariance", () => {
    const expected = fixture.heads;
    near(
      found.queryMean!,
      expected.map(({ means }) => means),
      6,
    );
    near(
      found.queryAbs!,
      expected.map(({ abs }) => abs),
      6,
    );
    near(
      found.queryCovariance!,
      expected.map(({ covariance }) => covariance),
      6,
    );
    const without = layerStatistics({ sequences, output }, false);
    expect(without.queryCovariance).toBeUndefined();
    expect(without.queryMean).toEqual(found.queryMean);
  });

  it("attention: age fit and fitted score", () => {
    near(
      found.ageFit!,
      fixture.heads.map(({ ageFit }) => ageFit),
      4,
    );
    near(
      found.scoreFit!,
      fixture.heads.map(({ scoreFit }) => [...scoreFit, 0]),
      4,
    );
    // With other filters it is another fit: the comparison can fail.
    const other = layerStatistics(
      { sequences, output },
      false,
      filters.map((x, i) => (i % headDim ? -x : x)),
    );
    for (const i of [0, 1]) {
      expect(Math.abs(other.ageFit![4 * i]! - found.ageFit![4 * i]!)).toBeGreaterThan(0.01);
      expect(Math.abs(other.scoreFit![8 * i + 5]! - found.scoreFit![8 * i + 5]!)).toBeGreaterThan(
        0.01,
      );
    }
  });

  it("error of the output at each budget", () => {
    expect(found.headLoss!.budgets).toEqual(fixture.budgets);
    near(
      found.headLoss!.values,
      fixture.heads.map(({ loss }) => loss),
      5,
    );
  });

  it("leaves out what its source does not tell", () => {
    const none = layerStatistics({ sequences: [], output });
    expect(Object.keys(none).sort()).toEqual(["queryAbs", "queryCovariance", "queryMean"]);
    const { headLoss, ...rest } = found;
    expect(layerStatistics({ sequences, output: undefined })).toEqual(rest);
    const dry = sequences.map((one) => ({ ...one, residual: new Float32Array(0) }));
    expect(layerStatistics({ sequences: dry, output })).toEqual(rest);
    // Too short to have a time of ranking.
    const { scoreFit, ...age } = rest;
    const [{ queries, keys, values, positions }] = sequences as [LayerSequence];
    const short = { tokens: 200, queries, keys, values, residual: new Float32Array(200) };
    const cut = { ...short, positions: positions.filter((position) => position < 200) };
    expect(Object.keys(layerStatistics({ sequences: [cut], output }))).toEqual(Object.keys(age));
  });
});

describe("rankingTimes", () => {
  it("leaves a horizon after each, or half of a short sequence", () => {
    expect(rankingTimes(2048)).toEqual([192, 320, 448, 576, 704, 832, 960, 1088]);
    expect(rankingTimes(1279)).toEqual([192, 320, 448, 576, 704, 832, 960]);
    expect(rankingTimes(384)).toEqual([192]);
    expect(rankingTimes(300)).toEqual([150]);
    expect(rankingTimes(255)).toEqual([]);
  });
});

describe("fitPoisson", () => {
  const draw = (count: number) => {
    const random = seededRandom(5);
    return Float32Array.from({ length: count }, () => 2 * random() - 1);
  };

  it("recovers the coefficients of data without noise", () => {
    const x = draw(1500);
    const y = Float32Array.from({ length: 500 }, (_, n) =>
      Math.exp(-6 + 1.5 * x[3 * n]! - 0.7 * x[3 * n + 1]! + 0.2 * x[3 * n + 2]!),
    );
    const { constant, weights, converged } = fitPoisson({ y, x, covariates: 3 });
    expect(converged).toBe(true);
    for (const [i, wanted] of [-6, 1.5, -0.7, 0.2].entries())
      expect([constant, ...weights][i]).toBeCloseTo(wanted, 5);
    // A ridge draws everything towards 0.
    const drawn = fitPoisson({ y, x, covariates: 3 }, 1e-3).weights;
    for (const [i, weight] of drawn.entries())
      expect(Math.abs(weight)).toBeLessThan(Math.abs(weights[i]!));
  });

  it("gives 0 to a covariate without variance, and to data without events", () => {
    const values = draw(100);
    const x = Float32Array.from({ length: 200 }, (_, i) => (i % 2 ? 0 : values[i >> 1]!));
    const y = values.map((u) => Math.exp(u));
    const flat = fitPoisson({ y, x, covariates: 2 });
    expect(flat.weights[0]).toBeCloseTo(1, 5);
    expect(flat.weights[1]).toBe(0);
    const none = fitPoisson({ y: new Float32Array(100), x, covariates: 2 });
    expect(none).toEqual({ constant: 0, weights: [0, 0], converged: false });
  });
});

/** One on a pair that RoPE turns fast, one on a pair that it hardly turns. */
const OFFSETS: Readonly<Record<number, number>> = { 0: 2, 3: 4 };

/** Pre-RoPE queries, keys and values by (layer, position, dimension), in chunks of `rows`; layer `ropeless` has no RoPE. */
function source(lengths: readonly number[], layers = 2, rows = 40, ropeless?: number): QuerySource {
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
    const turns = turned && layer !== ropeless;
    for (let row = 0; row < count; row++)
      for (let head = 0; head < n; head++) {
        const plain = Float64Array.from({ length: headDim }, (_, i) =>
          value(kind + head, layer, sequence, start + row, i),
        );
        const x = turns ? rotate(plain, start + row, fixture.inverseFrequencies) : plain;
        out.set(x, (row * n + head) * headDim);
      }
    return out;
  };
  return {
    ...shape,
    layers,
    frequencies: Array.from({ length: layers }, (_, layer) =>
      fixture.inverseFrequencies.map((f) => (layer === ropeless ? 0 : f)),
    ),
    rows: lengths.reduce((sum, length) => sum + length, 0),
    outputMatrix: async (layer) =>
      Float32Array.from({ length: 6 * heads * headDim }, (_, i) => Math.sin(i * i + layer)),
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
              residual: Float32Array.from({ length: count }, (_, n) => 2 + Math.sin(start + n)),
            };
          }
        }
    },
  };
}

describe("one pass", () => {
  it("gathers everything, the same for the same seed and any chunks", async () => {
    const first = await calibrate(source([300, 150]), { samples: 300, seed: 3, agreement: true });
    const again = await calibrate(source([300, 150], 2, 64), {
      samples: 300,
      seed: 3,
      agreement: true,
    });
    expect(again).toEqual(first);
    const other = await calibrate(source([300, 150]), { samples: 300, seed: 4 });
    expect(other.statistics.queryMean).not.toEqual(first.statistics.queryMean);
    const { queryMean, queryAbs, queryCovariance, ageFit, scoreFit, headLoss, keyValueNorms } =
      first.statistics;
    const all = 2 * kvHeads;
    expect(queryMean).toHaveLength(2 * heads * headDim);
    expect(queryAbs).toHaveLength((all * headDim) / 2);
    expect(queryCovariance).toHaveLength(all * headDim * headDim);
    expect(ageFit).toHaveLength(all * 4);
    expect(keyValueNorms).toHaveLength(all * 4);
    expect(scoreFit).toHaveLength(all * 8);
    expect(headLoss!.values).toHaveLength(all * headLoss!.budgets.length);
    // The first dimension's mean of 2 is there before RoPE, and would not be after it.
    for (let at = 0; at < queryMean!.length; at += headDim)
      expect(queryMean![at]).toBeGreaterThan(1.5);
    for (let head = 0; head < all; head++) {
      const size = headLoss!.budgets.length;
      const losses = headLoss!.values.subarray(head * size, (head + 1) * size);
      expect(losses[0]).toBeGreaterThan(losses[2]!);
      expect(losses.at(-1)).toBe(0);
    }
    expect(first.agreement!.halves.flat()).toHaveLength(all);
    for (const cosine of first.agreement!.halves.flat()) expect(cosine).toBeGreaterThan(0.9);
    expect(first.agreement!.convergence.map(({ samples }) => samples)).toEqual([50, 100, 200]);
  });

  it("turns each layer's queries back by its own RoPE, or not at all", async () => {
    const { queryMean } = (await calibrate(source([300], 2, 40, 1), { samples: 200 })).statistics;
    for (let at = 0; at < queryMean!.length; at += headDim)
      expect(queryMean![at]).toBeGreaterThan(1.5);
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
    expect(Object.keys(statistics).sort()).toEqual(["queryAbs", "queryCovariance", "queryMean"]);
  });

  it("leaves a covariance of more than 16 MB out and says so", async () => {
    const wide = 256;
    const big: QuerySource = {
      layers: 65,
      heads: 1,
      kvHeads: 1,
      headDim: wide,
      frequencies: Array.from({ length: 65 }, () => new Float64Array(wide / 2)),
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
    residual: new Float32Array(rows).fill(7),
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
      expect(one.values).toEqual(new Float32Array(128).fill(3));
      expect(one.residual).toEqual(new Float32Array(64).fill(7));
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
