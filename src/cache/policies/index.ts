import { full } from "./full.ts";
import { kNorm } from "./k-norm.ts";
import type { Policy } from "./policy.ts";
import { qFilters } from "./q-filters.ts";
import { random } from "./random.ts";
import { streamingLlm } from "./streaming-llm.ts";

export type { Policy } from "./policy.ts";

/** Every policy by name: a new one is a file beside these and a line here. */
export const POLICIES = {
  full,
  "q-filters": qFilters,
  "k-norm": kNorm,
  "streaming-llm": streamingLlm,
  random,
} as const satisfies Record<string, Policy>;

export type PolicyName = keyof typeof POLICIES;
