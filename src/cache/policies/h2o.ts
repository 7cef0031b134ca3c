import { type Policy, UNSCORED } from "./policy.ts";

/**
 * H2O (arXiv 2306.14048): the attention that a pair has received so far, added up over all queries. Every
 * query is compared with every key once more: slow, a reference for evaluations.
 */
export const h2o: Policy = {
  label: "H2O (slow)",
  explanation: "Keeps what has received most attention so far; every token is compared twice.",
  needs: [],
  score: UNSCORED,
  observation: { queries: 128, pool: 0, accumulate: true },
};
