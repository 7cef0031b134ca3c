import type { Policy } from "./policy.ts";

/**
 * LagKV (arXiv 2504.04704): after the sinks, tokens come in chunks; a pair's score is its place within its chunk by
 * how far key and value stray, channel by channel, from the ranges of the next chunk. So a pair is scored once that
 * is complete, and until then its position stands above every score: the last one to two chunks are kept. Chunks are
 * of `window` tokens, or of what fits twice beside the sinks; where no window is asked for, of 128 as published,
 * or of a quarter of the budget.
 */
export const lagKv: Policy = {
  label: "LagKV",
  explanation:
    "Keeps what strays furthest from the ranges of the tokens after it. Needs no calibration.",
  // Chunks are scored late: the last one to two of them, half of the budget in all, are kept.
  window: 128,
  windowShare: 4,
  needs: [],
  score: { dot: 0, norm: 0, position: 1, random: 0 },
  scoring: { lag: 128 },
};
