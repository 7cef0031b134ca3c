import { describe, expect, it } from "vitest";
import { POLICIES, type Policy, type PolicyName } from "../../src/cache/policies/index.ts";
import { scoringId, scoringInterval } from "../../src/cache/policies/scoring-id.ts";

const all = Object.entries<Policy>(POLICIES);

describe("policies", () => {
  it("are known by their own names and say what they do", () => {
    for (const [name, policy] of all) {
      expect(policy.name).toBe(name);
      expect(policy.summary.length).toBeGreaterThan(10);
    }
  });

  it("all but full evict, by a score that something gives", () => {
    for (const [name, { evicts, score, scoring, observation }] of all) {
      const terms = Object.values(score).filter((weight) => weight !== 0);
      expect(evicts).toBe(name !== "full");
      expect(terms.length > 0 || scoring !== undefined || observation !== undefined).toBe(evicts);
    }
  });

  it("fall back to one that needs less", () => {
    for (const [, { needs, fallback }] of all) {
      expect(fallback !== undefined).toBe(needs.length > 0);
      if (fallback) expect(POLICIES[fallback].needs.length).toBeLessThan(needs.length + 1);
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
    expect(scoringInterval("keydiff", 64)).toBe(16);
    expect(scoringInterval("keydiff", 3)).toBe(3);
    expect(scoringInterval("q-filters", 64)).toBe(1);
  });
});
