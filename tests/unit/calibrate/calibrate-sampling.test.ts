import { describe, expect, it } from "vitest";
import { RowReservoir } from "../../../calibrate/source/sampling.ts";
import { seededRandom } from "../../../src/random.ts";

/** Rows [count, 2] that carry their number and its negative. */
const numbered = (from: number, count: number) =>
  Float32Array.from({ length: 2 * count }, (_, i) => (i % 2 ? -1 : 1) * (from + (i >> 1)));

const held = (reservoir: RowReservoir) =>
  Array.from({ length: reservoir.size }, (_, i) => reservoir.rows[2 * i]!);

describe("RowReservoir", () => {
  it("keeps everything, in order, until it is full", () => {
    const reservoir = new RowReservoir(10, 2, 1);
    reservoir.offer(numbered(0, 4), 4, 0);
    reservoir.offer(numbered(4, 3), 3, 0);
    expect(held(reservoir)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(reservoir.seen).toBe(7);
  });

  it("then holds distinct whole rows, the same for the same seed and any batching", () => {
    const one = new RowReservoir(50, 2, 7);
    one.offer(numbered(0, 1000), 1000, 0);
    const many = new RowReservoir(50, 2, 7);
    for (let at = 0; at < 1000; at += 125) many.offer(numbered(at, 125), 125, 0);
    expect(many.rows).toEqual(one.rows);
    expect(new Set(held(one)).size).toBe(50);
    for (let i = 0; i < 50; i++) expect(one.rows[2 * i + 1]).toBe(-one.rows[2 * i]!);
    const other = new RowReservoir(50, 2, 8);
    other.offer(numbered(0, 1000), 1000, 0);
    expect(other.rows).not.toEqual(one.rows);
  });

  it("samples uniformly: every tenth of the stream is held equally often", () => {
    const tenths = new Array<number>(10).fill(0);
    for (let seed = 0; seed < 400; seed++) {
      const reservoir = new RowReservoir(20, 2, seed);
      reservoir.offer(numbered(0, 200), 200, 0);
      for (const row of held(reservoir)) tenths[Math.floor(row / 20)]!++;
    }
    // 800 expected in each; one standard deviation is about 25.
    for (const count of tenths) expect(Math.abs(count - 800)).toBeLessThan(125);
  });
});

describe("seededRandom", () => {
  it("is uniform in [0, 1) and repeats", () => {
    const random = seededRandom(3);
    const values = Array.from({ length: 4000 }, random);
    expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values)).toBeLessThan(1);
    expect(values.reduce((sum, x) => sum + x, 0) / 4000).toBeCloseTo(0.5, 1);
    const again = seededRandom(3);
    expect(values.slice(0, 5)).toEqual(Array.from({ length: 5 }, again));
  });
});
