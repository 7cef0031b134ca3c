import { expectedCovariance, expectedQuery } from "./expected-query.ts";
import { type Policy, UNSCORED } from "./policy.ts";
import { qFilters } from "./q-filters.ts";

/** The paper averages over the next 512 positions. */
const OFFSETS = Array.from({ length: 512 }, (_, i) => i + 1);

/**
 * Expected Attention (arXiv 2510.00636): for queries of mean mu and covariance S the expected exp(logit) is
 * exp(mu . k / sqrt(D) + k' S k / 2D); times |value|, as its log. Mean and covariance are the calibration's,
 * of a query group, turned with the position; the paper takes them from the prompt.
 */
export const expectedAttention: Policy = {
  label: "Expected attention",
  explanation: "Keeps the pairs of largest expected attention, from the queries' mean and spread.",
  needs: ["queryMean", "queryCovariance"],
  fallback: qFilters,
  score: UNSCORED,
  scoring: {
    every: 16,
    features: { moving: true, quadratic: true, value: true },
    head: ({ queryMean, queryCovariance, frequencies }) => {
      const dim = 2 * frequencies.length;
      return {
        moving: 1 / Math.sqrt(dim),
        quadratic: 1 / (2 * dim),
        logValue: 1,
        expectedQuery: expectedQuery(queryMean!, frequencies, OFFSETS),
        covariance: expectedCovariance(queryCovariance!, frequencies, OFFSETS),
      };
    },
  },
};
