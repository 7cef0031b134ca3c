import { expect, it } from "vitest";
import { resolveCacheSettings, UNLIMITED } from "../../../src/cache/budget.ts";
import { headCapacities, headsDiffer } from "../../../src/cache/sequence/head-capacities.ts";

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
  expect(headsDiffer(shape, settings("winnow"), 64)).toBe(false);
  expect(headsDiffer(shape, settings("winnow"), 65)).toBe(true);
  expect(headsDiffer(shape, settings("k-norm"), 65)).toBe(false);
  expect(headsDiffer(shape, settings("winnow", 4), 65)).toBe(false);
});
