import type { Policy } from "./policy.ts";

/** Keeps every pair: the uncompressed ceiling. */
export const full: Policy = {
  name: "full",
  summary: "Keep everything: memory grows with every token",
  needs: [],
  evicts: false,
  score: { dot: 0, norm: 0, position: 0, random: 0 },
};
