import { expect, it } from "vitest";
import { resolveCacheSettings, UNLIMITED } from "../../../src/cache/budget.ts";
import type { HeadLoss } from "../../../src/cache/filters-file.ts";
import { headBudgetsOf, ofBothReadings } from "../../../src/cache/sequence/head-budgets.ts";
import {
  capacitiesAfter,
  headCapacities,
  headsDiffer,
} from "../../../src/cache/sequence/head-capacities.ts";

/** Four layers of two kv heads; layer 1 has a sliding window of 16 tokens. */
const shape = { layers: 4, heads: 4, kvHeads: 2, headDim: 16, windows: [0, 16, 0, 0] };
const settings = (policy: "winnow" | "k-norm", wholeLayers = 0) =>
  resolveCacheSettings({ policy, budget: 64, window: 8, sinks: 2, wholeLayers });

it("gives every head the budget, but for windows and layers kept whole", () => {
  expect(headCapacities(shape, settings("k-norm", 1))).toEqual([
    [UNLIMITED, UNLIMITED],
    [16, 16],
    [64, 64],
    [64, 64],
  ]);
});

it("takes the heads' own budgets where there are any", () => {
  const budgets = [[60, 68], [], [50, 70], [80, 56]];
  expect(headCapacities(shape, settings("winnow"), budgets)).toEqual([
    [60, 68],
    [16, 16],
    [50, 70],
    [80, 56],
  ]);
});

it("lets heads differ once not everything fits, under policies that divide, where the budget governs a layer", () => {
  const whole = { ...shape, windows: [0, 0, 0, 0] };
  expect(headsDiffer(whole, settings("winnow"), 64)).toBe(false);
  expect(headsDiffer(whole, settings("winnow"), 65)).toBe(true);
  expect(headsDiffer(whole, settings("k-norm"), 65)).toBe(false);
  expect(headsDiffer(whole, settings("winnow", 4), 65)).toBe(false);
});

it("lets no heads differ beside layers with windows", () => {
  expect(headsDiffer(shape, settings("winnow"), 65)).toBe(false);
});

it("divides a budget by what heads lose of the next tokens and of second readings, in shares of what all lose", () => {
  const own = { layers: 1, heads: 2, kvHeads: 2, headDim: 16 };
  const once = { budgets: [32, 512], values: Float32Array.from([9, 0, 1, 0]) };
  // Documents of 512 tokens: what is beyond so many pairs, as a root.
  const reread = {
    budgets: [0, 64, 128, 256, 512],
    values: Float32Array.from([20, 10, 5, 1, 0, 100, 80, 60, 30, 0].map(Math.sqrt)),
  };
  const capacities = (budget: number, loss: HeadLoss, tokens = 10_000) =>
    capacitiesAfter(
      { shape: own, headBudgets: headBudgetsOf(loss, 2) },
      resolveCacheSettings({ budget, window: 8, sinks: 2 }),
      tokens,
    );
  expect(capacities(64, once)).toEqual([[96, 32]]);
  const both = { ...once, reread };
  expect(capacities(64, both)).toEqual([[32, 96]]);
  expect(capacities(256, both)).toEqual([[480, 32]]);
  expect(capacities(256, both, 256)).toEqual([[256, 256]]);
  // Documents are taken to be 8 budgets long, whatever the length was that was measured.
  expect(ofBothReadings(once, reread, 64).budgets).toEqual([32, 64, 128, 256, 512]);
  expect(ofBothReadings(once, reread, 256).budgets).toEqual([32, 256, 512, 1024, 2048]);
});
