/** The part of a policy that decides a request's settings: pages check requests and need no more. */
export interface PolicyRules {
  /** Whether anything is ever dropped. Default true. */
  readonly evicts?: boolean;
  /** Most recent tokens that are never evicted, where nothing else is asked for. Default 64. */
  readonly window?: number;
  /** Where nothing else is asked for, the window takes at most this part of the budget: 1 / share. Default 2. */
  readonly windowShare?: number;
}

/** Every policy's name. */
export const POLICY_RULES = {
  // With 4 sinks a head can do with a single page.
  winnow: { window: 24 },
  full: { evicts: false },
  "q-filters": {},
  "q-filters-age": {},
  "tri-attention": {},
  "expected-attention": {},
  keydiff: {},
  // It scores by chunks and keeps the last one to two of them: half of the budget in all.
  "lag-kv": { window: 128, windowShare: 4 },
  "k-norm": {},
  snapkv: {},
  h2o: {},
  "streaming-llm": {},
  random: {},
} as const satisfies Record<string, PolicyRules>;

export type PolicyName = keyof typeof POLICY_RULES;

export const isPolicy = (name: string): name is PolicyName => Object.hasOwn(POLICY_RULES, name);

export const POLICY_NAMES = Object.keys(POLICY_RULES) as PolicyName[];

/** The rules of that name, as what all policies have in common. */
export const rulesOf = (name: PolicyName): PolicyRules => POLICY_RULES[name];
