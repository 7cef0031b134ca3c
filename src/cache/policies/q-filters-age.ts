import { type Policy, UNSCORED } from "./policy.ts";
import { qFilters } from "./q-filters.ts";

/**
 * Q-Filters that know of age: attention received is fitted per kv head at calibration as
 * exp(c + a z + b ln(age + 1)), z the standardised Q-Filter score; weighted by the value it brings,
 * score = a z + ln|value| + b ln(age + 1). Some heads then go by importance, others by recency.
 */
export const qFiltersAge: Policy = {
  label: "Q-Filters with age",
  explanation:
    "Q-Filters weighed against age, as each head does it, times the length of the value.",
  needs: ["filters", "ageFit"],
  fallback: qFilters,
  score: UNSCORED,
  scoring: {
    every: 16,
    features: { value: true },
    head: ({ filter, ageFit }) => {
      const [a, b, , std] = ageFit as Float32Array;
      return { dot: -a! / std!, logValue: 1, logAge: b!, filter: filter! };
    },
  },
};
