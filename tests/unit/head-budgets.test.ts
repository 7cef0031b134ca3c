import { describe, expect, test } from "vitest";
import type { HeadMass } from "../../src/cache/filters-file.ts";
import { headBudgets } from "../../src/cache/head-budgets.ts";
import { uniform } from "../reference/paged-cache.ts";

const BUDGETS = [16, 32, 64, 96, 128, 192, 256, 384, 512, 1024];
const KV_HEADS = 3;
const ALL = [true, true, true];

const massOf = (values: readonly number[], budgets: readonly number[] = BUDGETS): HeadMass => ({
  budgets,
  values: Float32Array.from(values),
});

/** Heads that need few pairs or many, with noise: 1 - exp(-budget / scale). [L, G, B] */
function randomMass(layers: number, seed: number): HeadMass {
  const random = uniform(seed);
  const heads = Array.from({ length: layers * KV_HEADS }, () => 20 * 40 ** random());
  return massOf(
    heads.flatMap((scale) => BUDGETS.map((b) => 1 - Math.exp(-b / scale) + 0.02 * random())),
  );
}

const sum = (budgets: readonly (readonly number[])[]) => budgets.flat().reduce((a, b) => a + b, 0);

describe("headBudgets", () => {
  test.each([40, 41, 64, 65, 96, 100, 127, 128, 200, 256, 333, 512, 777, 1023, 1024])(
    "budget %i: the sum is exact, between what every head must have and four times the mean",
    (budget) => {
      for (const seed of [1, 2, 3])
        for (const least of [1, 33, budget]) {
          const found = headBudgets(randomMass(3, seed), KV_HEADS, {
            budget,
            least,
            governed: ALL,
          });
          expect(sum(found)).toBe(9 * budget);
          for (const pairs of found.flat()) {
            expect(Number.isInteger(pairs)).toBe(true);
            expect(pairs).toBeGreaterThanOrEqual(Math.min(budget, Math.max(32, least)));
            expect(pairs).toBeLessThanOrEqual(4 * budget);
          }
        }
    },
  );

  test("no room to choose: everyone has the mean", () => {
    for (const [budget, least] of [
      [96, 96],
      [96, 200],
      [20, 5],
      [1, 1],
    ] as const)
      expect(headBudgets(randomMass(3, 1), KV_HEADS, { budget, least, governed: ALL })).toEqual(
        ALL.map(() => [budget, budget, budget]),
      );
  });

  test("layers with a window are left out, and do not count", () => {
    const mass = randomMass(3, 4);
    const request = { budget: 128, least: 21 };
    const found = headBudgets(mass, KV_HEADS, { ...request, governed: [true, false, true] });
    expect(found[1]).toEqual([128, 128, 128]);
    expect(sum([found[0]!, found[2]!])).toBe(6 * 128);
    // As if the layer were not there.
    const size = KV_HEADS * BUDGETS.length;
    const values = [...mass.values.subarray(0, size), ...mass.values.subarray(2 * size)];
    const without = headBudgets(massOf(values), KV_HEADS, { ...request, governed: [true, true] });
    expect([found[0], found[2]]).toEqual(without);
    expect(headBudgets(mass, KV_HEADS, { ...request, governed: [false, false, false] })).toEqual(
      ALL.map(() => [128, 128, 128]),
    );
  });

  test("heads that are alike get alike; where all is kept, no head gets everything", () => {
    const flat = massOf(Array.from({ length: 6 * BUDGETS.length }, () => 1));
    for (const values of [flat, massOf(BUDGETS.flatMap(() => [0, 0, 0, 0, 0, 0]))]) {
      const found = headBudgets(values, KV_HEADS, {
        budget: 128,
        least: 21,
        governed: [true, true],
      });
      expect(found).toEqual([
        [128, 128, 128],
        [128, 128, 128],
      ]);
    }
  });

  test("the head that needs more gets more, and one that needs little the least", () => {
    const [needy, content] = [400, 8];
    const scales = [content, needy, content, content, needy, content];
    const values = scales.flatMap((scale) => BUDGETS.map((b) => 1 - Math.exp(-b / scale)));
    const found = headBudgets(massOf(values), KV_HEADS, {
      budget: 128,
      least: 21,
      governed: [true, true],
    });
    for (const layer of found) {
      expect(layer[1]).toBeGreaterThan(250);
      expect(layer[0]).toBeLessThan(100);
    }
  });

  test("no other division into pages keeps more attention", () => {
    const points = [32, 64, 96, 128];
    const random = uniform(9);
    for (let round = 0; round < 20; round += 1) {
      const curves = Array.from({ length: 3 }, () => {
        // Concave: each further page brings less.
        const steps = points.map(() => random()).sort((a, b) => b - a);
        return steps.map((_, i) => steps.slice(0, i + 1).reduce((a, b) => a + b, 0));
      });
      const kept = (budgets: readonly number[]) =>
        budgets.reduce((total, pairs, g) => total + curves[g]![points.indexOf(pairs)]!, 0);
      const [found] = headBudgets(massOf(curves.flat(), points), KV_HEADS, {
        budget: 64,
        least: 1,
        governed: [true],
      });
      let best = 0;
      for (const a of points)
        for (const b of points) {
          const c = 192 - a - b;
          if (points.includes(c)) best = Math.max(best, kept([a, b, c]));
        }
      expect(kept(found!)).toBeCloseTo(best, 5);
    }
  });

  test("a dip in a measured curve does not starve its head", () => {
    // The second page brings nothing, the third a lot: by single steps it would never be reached.
    const points = [32, 64, 96, 128];
    const dented = [0.1, 0.1, 0.9, 0.9];
    const weak = [0.1, 0.2, 0.22, 0.22];
    const [found] = headBudgets(massOf([...dented, ...weak, ...weak], points), KV_HEADS, {
      budget: 64,
      least: 1,
      governed: [true],
    });
    expect(found).toEqual([96, 64, 32]);
  });
});
