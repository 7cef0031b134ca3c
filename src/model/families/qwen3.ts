import { type Architecture, PLAIN } from "./family.ts";

/** Qwen 3, the dense models. */
export const qwen3: Architecture = { ...PLAIN, name: "qwen3", qkNorm: true };
