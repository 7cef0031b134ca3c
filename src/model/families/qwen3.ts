import { type Architecture, PLAIN } from "./family.ts";

/** Qwen 3, the dense models. */
export const qwen3: Architecture = {
  ...PLAIN,
  name: "qwen3",
  qkNorm: true,
  caution:
    "Qwen3 normalises its keys (QK-norm): scores by norm or filter tell them apart less well; compare with streaming-llm.",
};
