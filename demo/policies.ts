import type { PolicyName } from "../src/api/types.ts";

/** A policy in words. */
interface PolicyText {
  label: string;
  /** One line: what decides who stays. */
  explanation: string;
}

/** Every policy, in the order of the menu: a name that is missing here does not compile. */
export const POLICIES: Readonly<Record<PolicyName, PolicyText>> = {
  winnow: {
    label: "Winnow",
    explanation:
      "Each head weighs what it has learned to look at, what is new, and what your question asks for; heads that need more memory get it.",
  },
  "q-filters": {
    label: "Q-Filters",
    explanation:
      "Keeps the keys that future queries are likely to look at, judged by a direction calibrated for each head.",
  },
  "q-filters-age": {
    label: "Q-Filters with age",
    explanation:
      "Q-Filters weighed against age, as each head does it, times the length of the value.",
  },
  "tri-attention": {
    label: "TriAttention",
    explanation: "Keeps the keys that the average query of the next tokens will look for.",
  },
  "expected-attention": {
    label: "Expected attention",
    explanation:
      "Keeps the pairs of largest expected attention, from the queries' mean and spread.",
  },
  snapkv: {
    label: "SnapKV",
    explanation:
      "Keeps what the end of your message attends to, then the oldest answer tokens go first.",
  },
  keydiff: {
    label: "KeyDiff",
    explanation: "Keeps the keys that differ most from the rest. Needs no calibration.",
  },
  "lag-kv": {
    label: "LagKV",
    explanation:
      "Keeps what strays furthest from the ranges of the tokens after it. Needs no calibration.",
  },
  "k-norm": {
    label: "Key norm",
    explanation:
      "Keeps the keys with the smallest norm, which tend to draw the most attention. Needs no calibration.",
  },
  "streaming-llm": {
    label: "StreamingLLM",
    explanation: "Keeps the first few tokens and the most recent ones, and drops the middle.",
  },
  h2o: {
    label: "H2O (slow)",
    explanation: "Keeps what has received most attention so far; every token is compared twice.",
  },
  random: {
    label: "Random",
    explanation: "Drops tokens by lot: the baseline that every other policy has to beat.",
  },
  full: {
    label: "Full (no eviction)",
    explanation: "Keeps everything: exact, but memory grows with every token.",
  },
};

/** Budgets in pairs per head: two steps per doubling, then no limit. */
export const BUDGETS: readonly (number | "full")[] = [
  64,
  96,
  128,
  192,
  256,
  384,
  512,
  768,
  1024,
  1536,
  2048,
  "full",
];

/** The slider's step for a budget, which may lie between two of them. */
export function budgetStep(budget: number | "full"): number {
  if (budget === "full") return BUDGETS.length - 1;
  let best = 0;
  let distance = Number.POSITIVE_INFINITY;
  BUDGETS.forEach((step, index) => {
    if (step === "full") return;
    const d = Math.abs(Math.log(step / budget));
    if (d < distance) [best, distance] = [index, d];
  });
  return best;
}
