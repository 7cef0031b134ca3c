import { type Architecture, PLAIN } from "./family.ts";

/** SmolLM 3: Llama's block, but every fourth layer sees no positions (arXiv 2501.18795). */
export const smollm3: Architecture = {
  ...PLAIN,
  name: "smollm3",
  interleavedRope: true,
  ropelessEvery: 4,
};
