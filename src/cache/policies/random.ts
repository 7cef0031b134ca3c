import type { Policy } from "./policy.ts";

/** A random choice, fixed by position, head and seed: the floor every policy must beat. */
export const random: Policy = {
  name: "random",
  summary: "Drop at random: the floor to compare with",
  needs: [],
  evicts: true,
  score: { dot: 0, norm: 0, position: 0, random: 1 },
};
