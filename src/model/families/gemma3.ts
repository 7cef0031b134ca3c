import { type Architecture, PLAIN } from "./family.ts";
import { readSliding } from "./sliding.ts";

/**
 * Gemma 3 (arXiv 2503.19786), text. Its norms multiply by 1 + w; a GGUF holds the sum already.
 */
export const gemma3: Architecture = {
  ...PLAIN,
  name: "gemma3",
  qkNorm: true,
  postNorms: true,
  activation: "gelu",
  readOwn: (gguf, { hidden, windows }) => ({
    embeddingScale: Math.sqrt(hidden),
    ...readSliding(gguf, "gemma3", windows.length, { pattern: 6, ropeBase: 10_000 }),
  }),
  caution:
    "Gemma 3 normalises its keys (QK-norm), and five layers of six keep a fixed window: the budget saves memory on the others alone, and policies differ little.",
};
