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
