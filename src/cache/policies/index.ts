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
import { snapkv } from "./snapkv.ts";
import { streamingLlm } from "./streaming-llm.ts";
import { triAttention } from "./tri-attention.ts";
import { winnow } from "./winnow.ts";

export type { Policy } from "./policy.ts";

/** Every policy by name, in the order of menus: a new one is a file beside these and a line here. */
export const POLICIES = {
  winnow,
  "q-filters": qFilters,
  "q-filters-age": qFiltersAge,
  "tri-attention": triAttention,
  "expected-attention": expectedAttention,
  snapkv,
  keydiff,
  "lag-kv": lagKv,
  "k-norm": kNorm,
  "streaming-llm": streamingLlm,
  h2o,
  random,
  full,
} satisfies Record<string, Policy>;

/**
 * The rule that decides which pairs are kept. "full" drops nothing; the others keep `budget` pairs per kv head.
 * @useDeclaredType
 */
export type PolicyName = keyof typeof POLICIES;

export const POLICY_NAMES = Object.keys(POLICIES) as PolicyName[];

export const isPolicy = (name: string): name is PolicyName => Object.hasOwn(POLICIES, name);

/** The name under which a policy stands in `POLICIES`. */
export const nameOf = (policy: Policy): PolicyName =>
  POLICY_NAMES.find((name) => policyOf(name) === policy)!;

/** The policy of that name, as what all policies have in common. */
export const policyOf = (name: PolicyName): Policy => POLICIES[name];
