import { type Policy, UNSCORED } from "./policy.ts";

/**
 * KeyDiff (arXiv 2504.15364): score = -cos(key, anchor), the anchor being the mean of the unit keys of all
 * candidates; what is like everything else goes. Needs no calibration.
 */
export const keydiff: Policy = {
  label: "KeyDiff",
  explanation: "Keeps the keys that differ most from the rest. Needs no calibration.",
  needs: [],
  score: UNSCORED,
  scoring: { every: 16, features: { novelty: true }, head: () => ({ novelty: 1 }) },
};
