import { kNorm } from "./k-norm.ts";
import type { Policy } from "./policy.ts";

/**
 * Q-Filters (arXiv 2503.02812): the key's projection on its head's principal query direction. Filters are
 * stored negative, as published, so score = -(key . filter).
 */
export const qFilters: Policy = {
  label: "Q-Filters",
  explanation:
    "Keeps the keys that future queries are likely to look at, judged by a direction calibrated for each head.",
  needs: ["filters"],
  fallback: kNorm,
  score: { dot: -1, norm: 0, position: 0, random: 0 },
};
