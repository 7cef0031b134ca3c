import { expectedQuery } from "./expected-query.ts";
import { type Policy, UNSCORED } from "./policy.ts";
import { qFilters } from "./q-filters.ts";

/** Tokens ahead, in a geometric row: near and far queries count alike. */
export const OFFSETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/**
 * TriAttention (arXiv 2604.04921): the logit that the head's mean query will give the key, averaged over
 * future positions, plus a term for what of the queries' length the mean does not explain:
 * score = key . mean over offsets of RoPE(E[q]) + sum over pairs j of (E|q_j| - |E q_j|) |key_j|.
 */
export const triAttention: Policy = {
  label: "TriAttention",
  explanation: "Keeps the keys that the average query of the next tokens will look for.",
  needs: ["queryMean", "queryAbs"],
  fallback: qFilters,
  score: UNSCORED,
  scoring: {
    every: 16,
    features: { moving: true, pairNorm: true },
    head: ({ queryMean, unexplained, frequencies }) => ({
      moving: 1,
      pairNorm: 1,
      expectedQuery: expectedQuery(queryMean!, frequencies, OFFSETS),
      pairWeights: unexplained!,
    }),
  },
};
