import type { PolicyName } from "../src/api/types.ts";

export interface PolicyText {
  name: PolicyName;
  label: string;
  /** One line: what decides who stays. */
  explanation: string;
}

export const POLICIES: readonly PolicyText[] = [
  {
    name: "q-filters",
    label: "Q-Filters",
    explanation:
      "Keeps the keys that future queries are likely to look at, judged by a direction calibrated for each head.",
  },
  {
    name: "k-norm",
    label: "Key norm",
    explanation:
      "Keeps the keys with the smallest norm, which tend to draw the most attention. Needs no calibration.",
  },
  {
    name: "streaming-llm",
    label: "StreamingLLM",
    explanation: "Keeps the first few tokens and the most recent ones, and drops the middle.",
  },
  {
    name: "random",
    label: "Random",
    explanation: "Drops tokens by lot: the baseline that every other policy has to beat.",
  },
  {
    name: "full",
    label: "Full (no eviction)",
    explanation: "Keeps everything: exact, but memory grows with every token.",
  },
];

/** Budgets in pairs a head: two steps an octave, then no limit. */
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
