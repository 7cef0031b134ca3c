import type { Policy } from "./policy.ts";

/**
 * SnapKV (arXiv 2404.14469): of a prompt, what its last 64 queries attend to is kept, the attention being
 * averaged over 5 neighbours. Prompts only: what comes after is scored below all of it, oldest first, and so
 * is the first to go once it leaves the window.
 */
export const snapkv: Policy = {
  label: "SnapKV",
  explanation:
    "Keeps what the end of your message attends to, then the oldest answer tokens go first.",
  needs: [],
  // Below any attention that was seen.
  score: { dot: 0, norm: 0, position: 1e-30, random: 0 },
  observation: { queries: 64, pool: 2, accumulate: false },
};
