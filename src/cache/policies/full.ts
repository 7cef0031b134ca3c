import type { Policy } from "./policy.ts";

/** Keeps every pair: the uncompressed ceiling. */
export const full: Policy = {
  name: "full",
  needs: [],
  score: { dot: 0, norm: 0, position: 0, random: 0 },
};
