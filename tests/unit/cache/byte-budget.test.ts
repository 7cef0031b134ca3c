import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkCacheOptions } from "../../../src/api/checks/check-cache.ts";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { decideSettings, mostBytes } from "../../../src/cache/byte-budget.ts";
import { type CacheOptions, withChange } from "../../../src/cache/cache-options.ts";
import { headBudgetsOf } from "../../../src/cache/sequence/head-budgets.ts";
import { withDefaultBudget } from "../../../src/engine/memory/default-budget.ts";

/** SmolLM2-135M. */
const shape = { layers: 30, heads: 9, kvHeads: 3, headDim: 64 };
const bytesOf = (request: CacheOptions, of = { shape }) =>
  mostBytes(of, decideSettings(of, request));

const shapes = fc.record({
  layers: fc.integer({ min: 1, max: 6 }),
  heads: fc.constant(8),
  kvHeads: fc.constantFrom(1, 2, 4),
  headDim: fc.constantFrom(8, 64, 256),
  storage: fc.constantFrom("f16" as const, "q8" as const, "f32" as const),
});
const requests = fc.record(
  {
    policy: fc.constantFrom("winnow" as const, "k-norm" as const, "lag-kv" as const),
    window: fc.integer({ min: 1, max: 200 }),
    sinks: fc.integer({ min: 0, max: 40 }),
  },
  { requiredKeys: [] },
);

describe("a budget in bytes", () => {
  it("keeps as many pairs as fit in whole pages, in any shape, storage and settings", () => {
    fc.assert(
      fc.property(shapes, requests, fc.integer({ min: 1, max: 3e7 }), (shape, request, bytes) => {
        const of = { shape };
        let settings: ReturnType<typeof decideSettings>;
        try {
          settings = decideSettings(of, { ...request, bytes });
        } catch (error) {
          expect(error).toMatchObject({ code: "invalid_argument" });
          // The bytes that the hint names are enough, and one fewer is not.
          const least = Number(/Use (\d+) bytes/.exec((error as { hint: string }).hint)![1]);
          expect(bytes).toBeLessThan(least);
          expect(decideSettings(of, { ...request, bytes: least }).budget).toBeGreaterThan(0);
          expect(() => decideSettings(of, { ...request, bytes: least - 1 })).toThrow();
          return;
        }
        expect(mostBytes(of, settings)).toBeLessThanOrEqual(bytes);
        const more = (settings.budget as number) + 1;
        expect(bytesOf({ ...request, budget: more }, of)).toBeGreaterThan(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it("leaves no more than a page per head, and the windows of layers that have one, aside", () => {
    const page = 32 * 264 + 4;
    for (const bytes of [2e6, 3_089_880, 12e6, 12_345_678]) {
      const most = bytesOf({ bytes }) as number;
      expect(bytes - most).toBeLessThan(90 * page);
      const windows = Array.from({ length: 30 }, (_, layer) => (layer < 20 ? 64 : 0));
      const within = { shape: { ...shape, windows } };
      const left = bytes - (bytesOf({ bytes }, within) as number);
      expect(left).toBeGreaterThanOrEqual(0);
      expect(left).toBeLessThan(30 * page);
    }
  });

  it("counts what heads get of their own: no division takes more", () => {
    const values = Float32Array.from({ length: 90 * 4 }, (_, i) => (1 + (i % 7)) / (1 + (i % 4)));
    const headLoss = { budgets: [32, 128, 512, 1024], values };
    for (const bytes of [900_000, 5e6, 12e6]) {
      const basis = { shape, headBudgets: headBudgetsOf(headLoss, shape.kvHeads) };
      const settings = decideSettings(basis, { bytes, policy: "winnow" });
      expect(mostBytes(basis, settings)).toBeLessThanOrEqual(bytes);
    }
  });

  it("says what grows with the chat", () => {
    expect(bytesOf({ budget: "full" })).toBe("full");
    expect(bytesOf({ policy: "full" })).toBe("full");
    expect(bytesOf({ budget: 64, wholeLayers: 2 })).toBe("full");
  });

  it.each<[string, unknown, CacheOptions, RegExp]>([
    ["both", { budget: 64, bytes: 1e6 }, {}, /^cache\.bytes: stands in place of cache\.budget/],
    ["full, and bytes", { budget: "full", bytes: 1e6 }, {}, /stands in place/],
    ["no number", { bytes: "12 MB" }, {}, /^cache\.bytes: must be/],
    ["half a byte", { bytes: 1e6 + 0.5 }, {}, /^cache\.bytes: must be/],
    ["none", { bytes: 0 }, {}, /^cache\.bytes: must be/],
    ["no end", { bytes: Number.POSITIVE_INFINITY }, {}, /^cache\.bytes: must be/],
    ["the policy full", { bytes: 1e6, policy: "full" }, {}, /"full" keeps every pair/],
    ["the policy full, later", { policy: "full" }, { bytes: 1e6 }, /"full" keeps every pair/],
    ["whole layers", { bytes: 1e6, wholeLayers: 1 }, {}, /kept whole grow with the chat/],
    ["whole layers, later", { wholeLayers: 1 }, { bytes: 1e6 }, /kept whole grow/],
    ["bytes, later", { bytes: 1e6 }, { wholeLayers: 1 }, /kept whole grow/],
  ])("refuses %s", (_name, options, current, message) => {
    expect(() => checkCacheOptions(options, current)).toThrow(
      expect.objectContaining({ code: "invalid_argument" }),
    );
    expect(() => checkCacheOptions(options, current)).toThrow(message);
  });

  it("takes the place of a budget in pairs, and gives way to one", () => {
    const asked = withChange({ budget: 64, window: 8 }, { bytes: 1e6 });
    expect(asked).toEqual({ bytes: 1e6, window: 8 });
    expect(withChange(asked, { budget: 128 })).toEqual({ budget: 128, window: 8 });
    expect(withChange(asked, { sinks: 2 })).toEqual({ bytes: 1e6, window: 8, sinks: 2 });
    expect(checkCacheOptions({ budget: "full", policy: "full" }, asked).bytes).toBeUndefined();
  });
});

describe("the budget where none is named", () => {
  const begin = (request: CacheOptions, most: number, budget = 512) =>
    withDefaultBudget(request, budget, ({ budget }) => (budget as number) <= most);

  it("is the model's own, and half as many as often as memory refuses", () => {
    expect(begin({}, 4096, 1024)).toEqual({ budget: 1024 });
    expect(begin({ sinks: 2 }, 4096)).toEqual({ budget: 512, sinks: 2 });
    expect(begin({}, 200)).toEqual({ budget: 128 });
    // Nothing fits: the caller says so, with the model's own budget.
    expect(begin({}, 10)).toEqual({ budget: 512 });
  });

  it("leaves alone what is named", () => {
    expect(begin({ budget: 512 }, 10)).toEqual({ budget: 512 });
    expect(begin({ bytes: 1e9 }, 10)).toEqual({ bytes: 1e9 });
    expect(begin({ policy: "full" }, 10)).toEqual({ policy: "full" });
    // No budget that leaves no room beside the window.
    expect(begin({ window: 200 }, 200)).toEqual({ budget: 512, window: 200 });
    expect(resolveCacheSettings(begin({ window: 200 }, 300))).toMatchObject({ budget: 256 });
  });
});
