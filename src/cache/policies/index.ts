import { expectedAttention } from "./expected-attention.ts";
import { full } from "./full.ts";
import { h2o } from "./h2o.ts";
import { kNorm } from "./k-norm.ts";
import { keydiff } from "./keydiff.ts";
import { lagKv } from "./lag-kv.ts";
import type { Policy } from "./policy.ts";
import { qFilters } from "./q-filters.ts";
import { qFiltersAge } from "./q-filters-age.ts";
import { random } from "./random.ts";
import type { PolicyName } from "./rules.ts";
import { snapkv } from "./snapkv.ts";
import { streamingLlm } from "./streaming-llm.ts";
import { triAttention } from "./tri-attention.ts";
import { winnow } from "./winnow.ts";

export type { Policy } from "./policy.ts";
export type { PolicyName } from "./rules.ts";

/** Every policy by name: a new one is a file beside these, a line here and one in rules.ts. */
export const POLICIES = {
  winnow,
  full,
  "q-filters": qFilters,
  "q-filters-age": qFiltersAge,
  "tri-attention": triAttention,
  "expected-attention": expectedAttention,
  keydiff,
  "lag-kv": lagKv,
  "k-norm": kNorm,
  snapkv,
  h2o,
  "streaming-llm": streamingLlm,
  random,
} as const satisfies Record<PolicyName, Policy>;

/** The policy of that name, as what all policies have in common. */
export const policyOf = (name: PolicyName): Policy => POLICIES[name];
