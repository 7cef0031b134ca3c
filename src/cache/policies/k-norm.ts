import type { Policy } from "./policy.ts";

/** K-norm (arXiv 2406.11430): keys of small norm attract attention, so score = -|key|. */
export const kNorm: Policy = {
  label: "Key norm",
  explanation:
    "Keeps the keys with the smallest norm, which tend to draw the most attention. Needs no calibration.",
  needs: [],
  score: { dot: 0, norm: -1, position: 0, random: 0 },
};
