import { getNumber } from "../../formats/gguf/gguf.ts";
import { type Architecture, PLAIN } from "./family.ts";
import { yarnRope } from "./yarn.ts";

/**
 * Ministral 3, and Mistral Small 3 of such files: Llama's block with YaRN. Beyond the context that it was trained for first,
 * Ministral multiplies queries by a factor that grows with the position and is 1 before: that is where its positions end here.
 */
export const mistral3: Architecture = {
  ...PLAIN,
  name: "mistral3",
  interleavedRope: true,
  readRope: yarnRope,
  readOwn: (gguf, { contextLength }) => {
    if (getNumber(gguf, "mistral3.attention.temperature_scale", 0) === 0) return {};
    const original = getNumber(gguf, "mistral3.rope.scaling.original_context_length", 0);
    return { contextLength: original > 0 ? Math.min(original, contextLength) : contextLength };
  },
  caution:
    "Ministral 3 has the positions here that it was trained for first, 16,384 in published files; a chat under a budget has no end all the same.",
};
