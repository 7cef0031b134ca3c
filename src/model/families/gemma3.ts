import { type Architecture, PLAIN } from "./family.ts";

/**
 * Gemma 3 (arXiv 2503.19786), text. Its norms multiply by 1 + w; a GGUF holds the sum already.
 */
export const gemma3: Architecture = {
  ...PLAIN,
  name: "gemma3",
  qkNorm: true,
  postNorms: true,
  activation: "gelu",
  scaledEmbedding: true,
  sliding: { pattern: 6, ropeBase: 10_000 },
};
