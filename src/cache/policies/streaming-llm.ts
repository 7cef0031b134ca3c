import type { Policy } from "./policy.ts";

/** StreamingLLM (arXiv 2309.17453): the first tokens (sinks) and the most recent ones. */
export const streamingLlm: Policy = {
  label: "StreamingLLM",
  explanation: "Keeps the first few tokens and the most recent ones, and drops the middle.",
  needs: [],
  score: { dot: 0, norm: 0, position: 1, random: 0 },
};
