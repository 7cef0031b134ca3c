import type { Policy } from "./policy.ts";

/** K-norm (arXiv 2406.11430): keys of small norm attract attention, so score = -|key|. */
export const kNorm: Policy = {
  name: "k-norm",
  needs: [],
  score: { dot: 0, norm: -1, position: 0, random: 0 },
};
