import { type Architecture, PLAIN } from "./family.ts";

/** Qwen 2 and 2.5. */
export const qwen2: Architecture = { ...PLAIN, name: "qwen2", qkvBias: true };
