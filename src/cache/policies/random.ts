import type { Policy } from "./policy.ts";

/** A random choice, fixed by position, head and seed: the floor every policy must beat. */
export const random: Policy = {
  label: "Random",
  explanation: "Drops tokens by lot: the baseline that every other policy has to beat.",
  needs: [],
  score: { dot: 0, norm: 0, position: 0, random: 1 },
};
