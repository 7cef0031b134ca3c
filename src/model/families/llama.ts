import { type Architecture, PLAIN } from "./family.ts";

/** Llama 1 to 3.x and what follows it (SmolLM2, Mistral's dense models); frequency factors come as a tensor. */
export const llama: Architecture = { ...PLAIN, name: "llama", interleavedRope: true };
