import { describe, expect, it } from "vitest";
import { POLICIES } from "../../src/cache/policies/index.ts";

describe("policies", () => {
  it("are known by their own names and say what they do", () => {
    for (const [name, policy] of Object.entries(POLICIES)) {
      expect(policy.name).toBe(name);
      expect(policy.summary.length).toBeGreaterThan(10);
    }
    expect(Object.keys(POLICIES)).toEqual([
      "full",
      "q-filters",
      "k-norm",
      "streaming-llm",
      "random",
    ]);
  });

  it("all but full evict, by exactly one term of the score; only q-filters needs filters", () => {
    for (const { name, evicts, usesFilters, score } of Object.values(POLICIES)) {
      const terms = Object.entries(score).filter(([, weight]) => weight !== 0);
      expect(evicts).toBe(name !== "full");
      expect(terms).toHaveLength(evicts ? 1 : 0);
      expect(usesFilters).toBe(score.dot !== 0);
    }
  });

  it("score as their papers say, higher = keep", () => {
    expect(POLICIES["q-filters"].score.dot).toBe(-1); // filters are stored negative
    expect(POLICIES["k-norm"].score.norm).toBe(-1); // small norms attract attention
    expect(POLICIES["streaming-llm"].score.position).toBe(1); // the oldest goes first
    expect(POLICIES.random.score.random).toBe(1);
  });
});
