import type { Policy } from "./policy.ts";

/** Keeps every pair: the uncompressed ceiling. */
export const full: Policy = {
  label: "Full (no eviction)",
  explanation: "Keeps everything: exact, but memory grows with every token.",
  evicts: false,
  needs: [],
  score: { dot: 0, norm: 0, position: 0, random: 0 },
};
