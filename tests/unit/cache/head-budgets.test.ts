import { describe, expect, it } from "vitest";
import { headKnowledge } from "../../../src/cache/head-knowledge.ts";
import { headBudgets } from "../../../src/cache/sequence/head-budgets.ts";
import type { HeadBudgetRequest } from "../../../src/cache/sequence/head-capacities.ts";

const BUDGETS = [32, 64, 96, 128, 192, 256, 512, 1024];

/** Errors that fall as scale * (32 / budget)^power. */
const curve = (scale: number, power: number): number[] =>
  BUDGETS.map((budget) => scale * (32 / budget) ** power);

const divide = (curves: readonly number[][], kvHeads: number, request: HeadBudgetRequest) =>
  headBudgets({ budgets: BUDGETS, values: Float32Array.from(curves.flat()) }, kvHeads, request);

const sum = (budgets: readonly number[][]) => budgets.flat().reduce((all, one) => all + one, 0);

describe("head budgets", () => {
  const governed = [true, true];
  const curves = [curve(1, 1), curve(4, 1), curve(0.01, 1), curve(1, 0.2)];

  it("give pages where they lower the squared error most, and add up", () => {
    const found = divide(curves, 2, { budget: 128, least: 20, governed });
    expect(sum(found)).toBe(4 * 128);
    expect(found[1]![0]).toBe(32);
    expect(found[0]![1]).toBe(Math.max(...found.flat()));
    for (const pairs of found.flat()) expect(pairs % 32).toBe(0);
    // No page could move to another head and lower the error: those given gain more than those not given.
    const gain = (head: number, from: number) => {
      const at = (x: number) => {
        const next = BUDGETS.findIndex((budget) => budget >= x);
        const [a, b] = [BUDGETS[Math.max(0, next - 1)]!, BUDGETS[next]!];
        const [ya, yb] = [curves[head]![Math.max(0, next - 1)]! ** 2, curves[head]![next]! ** 2];
        return a === b ? yb : ya + ((yb - ya) * (x - a)) / (b - a);
      };
      return at(from) - at(from + 32);
    };
    const given = found
      .flat()
      .flatMap((pairs, head) => (pairs > 32 ? [gain(head, pairs - 32)] : []));
    const open = found.flat().map((pairs, head) => gain(head, pairs));
    expect(Math.min(...given)).toBeGreaterThanOrEqual(Math.max(...open) - 1e-9);
  });

  it("never go below what is protected, nor above the largest that was measured", () => {
    const greedy = [curve(1000, 1), ...curves.slice(1).map(() => curve(1e-9, 1))];
    const most = divide(greedy, 2, { budget: 500, least: 37, governed });
    expect(most[0]![0]).toBe(1024);
    expect(Math.min(...most.flat())).toBeGreaterThanOrEqual(64);
    expect(sum(most)).toBe(2000);
    const eight = divide(greedy, 2, { budget: 100, least: 37, governed });
    expect(Math.max(...eight.flat())).toBe(400 - 3 * 64);
    expect(sum(eight)).toBe(400);
    const many = Array.from({ length: 16 }, (_, i) => curve(i ? 1e-9 : 1000, 1));
    const capped = divide(many, 8, { budget: 72, least: 37, governed });
    expect(sum(capped)).toBe(16 * 72);
    expect(Math.max(...capped.flat())).toBe(64 + 16 * 8);
  });

  it("are the same for all where pages cannot be moved", () => {
    for (const budget of [40, 64, 1024, 3000])
      expect(divide(curves, 2, { budget, least: 37, governed })).toEqual([
        [budget, budget],
        [budget, budget],
      ]);
  });

  it("leave layers alone that the budget does not govern", () => {
    const found = divide(curves, 2, { budget: 128, least: 37, governed: [false, true] });
    expect(found[0]).toEqual([128, 128]);
    expect(sum(found.slice(1))).toBe(256);
    expect(found[1]![0]).not.toBe(found[1]![1]);
  });

  it("divide the same mean among the others where the first layers are kept whole", () => {
    const three = [...curves, ...curves.slice(0, 2)];
    const found = divide(three, 2, { budget: 128, least: 37, governed: [false, true, true] });
    const others = divide(three.slice(2), 2, { budget: 128, least: 37, governed: [true, true] });
    expect(found.slice(1)).toEqual(others);
    expect(sum(found.slice(1))).toBe(4 * 128);
  });

  it("are not led astray by noise: a step that gains nothing before one that gains much", () => {
    const stairs = [8, 8, 8, 0, 0, 0, 0, 0];
    const flat = BUDGETS.map(() => 0);
    const [found] = divide([stairs, flat], 2, { budget: 80, least: 1, governed: [true] });
    expect(found).toEqual([128, 32]);
  });
});

describe("head knowledge", () => {
  it("derives the group's mean query and what the means leave unexplained", () => {
    const queryMean = Float32Array.of(3, 0, 4, 2, 1, 6, 0, 2); // [2, D = 4]: pairs (3, 4) (0, 2); (1, 0) (6, 2)
    const [[known]] = headKnowledge(
      {
        filters: { values: new Float32Array(4), layers: 1, kvHeads: 1, headDim: 4 },
        statistics: {
          queryMean,
          queryAbs: Float32Array.of(7, 9),
          scoreFit: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 0),
        },
      },
      { layers: 1, heads: 2, kvHeads: 1, headDim: 4, windows: [0], storage: "f16" },
      [new Float64Array(2)],
    ) as [[ReturnType<typeof headKnowledge>[0][0]]];
    expect(known.queryMeans).toEqual(queryMean);
    expect(known.queryMean).toEqual(Float32Array.of(2, 3, 2, 2));
    const lengths = [(5 + 1) / 2, (2 + Math.hypot(6, 2)) / 2];
    for (const [j, abs] of [7, 9].entries())
      expect(known.unexplained![j]).toBeCloseTo(abs - lengths[j]!, 6);
    expect(known.scoreFit?.[4]).toBe(5);
  });
});
