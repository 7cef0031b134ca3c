import { type Architecture, PLAIN } from "./family.ts";

/** Qwen 2 and 2.5. */
export const qwen2: Architecture = {
  ...PLAIN,
  name: "qwen2",
  qkvBias: true,
  caution:
    "Qwen2 adds biases to queries and keys: Q-Filters gain less over other policies than on Llama (arXiv 2503.02812).",
};
