import type { Policy } from "./policy.ts";

/** StreamingLLM (arXiv 2309.17453): the first tokens (sinks) and the most recent ones. */
export const streamingLlm: Policy = {
  name: "streaming-llm",
  needs: [],
  score: { dot: 0, norm: 0, position: 1, random: 0 },
};
