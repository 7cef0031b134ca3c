import { describe, expect, it } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import { POLICIES, type Policy, type PolicyName } from "../../../src/cache/policies/index.ts";
import { scoresAlike, scoringId, scoringTurn } from "../../../src/cache/policies/scoring-id.ts";

const all = Object.entries<Policy>(POLICIES);

describe("policies", () => {
  it("have words of their own for people", () => {
    expect(new Set(all.map(([, { label }]) => label)).size).toBe(all.length);
    expect(new Set(all.map(([, { explanation }]) => explanation)).size).toBe(all.length);
    for (const [, { explanation }] of all) expect(explanation).toMatch(/^[A-Z].*\.$/);
  });

  it("all but full evict, by a score that something gives", () => {
    for (const [name, { evicts = true, score, scoring, observation }] of all) {
      const terms = Object.values(score).filter((weight) => weight !== 0);
      expect(evicts).toBe(name !== "full");
      expect(terms.length > 0 || scoring !== undefined || observation !== undefined).toBe(evicts);
    }
  });

  it("fall back to one that needs less", () => {
    for (const [, { needs, fallback }] of all) {
      expect(fallback !== undefined).toBe(needs.length > 0);
      if (fallback) expect(fallback.needs.length).toBeLessThan(needs.length + 1);
    }
  });

  it("score as their papers say, higher = keep", () => {
    expect(POLICIES["q-filters"].score.dot).toBe(-1); // filters are stored negative
    expect(POLICIES["k-norm"].score.norm).toBe(-1); // small norms attract attention
    expect(POLICIES["streaming-llm"].score.position).toBe(1); // the oldest goes first
    expect(POLICIES.random.score.random).toBe(1);
  });

  it("name their scoring by numbers of their own, 0 where scores are fixed", () => {
    const ids = all.map(([name]) => scoringId(name as PolicyName)).filter((id) => id > 0);
    expect(new Set(ids).size).toBe(ids.length);
    expect(scoringId("k-norm")).toBe(0);
    expect(scoringId("snapkv")).toBe(0);
    expect(scoringId("keydiff")).toBeGreaterThan(0);
  });

  it("score again before a pair can leave the window unscored", () => {
    const turn = (policy: PolicyName, window: number) =>
      scoringTurn(resolveCacheSettings({ policy, window }));
    expect(turn("keydiff", 64)).toEqual({ every: 16, phase: 0 });
    expect(turn("keydiff", 3)).toEqual({ every: 3, phase: 0 });
    expect(turn("q-filters", 64)).toEqual({ every: 1, phase: 0 });
  });

  it.each([
    // As published, where it fits.
    [{ budget: 512 }, { every: 128, phase: 4 }],
    [{ budget: "full" }, { every: 128, phase: 4 }],
    // The window; by itself a quarter of the budget; never more than fits twice beside the sinks.
    [
      { budget: 512, window: 10 },
      { every: 10, phase: 4 },
    ],
    [{ budget: 64 }, { every: 16, phase: 4 }],
    [
      { budget: 64, window: 59 },
      { every: 30, phase: 4 },
    ],
    [
      { budget: 4096, window: 500, sinks: 300 },
      { every: 128, phase: 44 },
    ],
    [
      { budget: 2, sinks: 0 },
      { every: 1, phase: 0 },
    ],
    [
      { budget: 9, sinks: 6 },
      { every: 1, phase: 0 },
    ],
  ] as const)("lag-kv under %o scores chunks, from the sinks on: %o", (request, turn) => {
    expect(scoringTurn(resolveCacheSettings({ policy: "lag-kv", ...request }))).toEqual(turn);
  });

  it("scores hold where neither policy nor chunks change", () => {
    const settings = (request: CacheOptions) => resolveCacheSettings({ budget: 256, ...request });
    const same = (a: CacheOptions, b: CacheOptions) => scoresAlike(settings(a), settings(b));
    expect(same({ policy: "keydiff" }, { policy: "keydiff", window: 5, sinks: 9 })).toBe(true);
    expect(same({ policy: "keydiff" }, { policy: "winnow" })).toBe(false);
    expect(same({ policy: "lag-kv" }, { policy: "lag-kv", window: 64 })).toBe(true);
    expect(same({ policy: "lag-kv" }, { policy: "lag-kv", budget: 64 })).toBe(false);
    expect(same({ policy: "lag-kv" }, { policy: "lag-kv", sinks: 5 })).toBe(false);
  });
});
