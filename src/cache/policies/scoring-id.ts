import type { CacheSettings } from "../budget.ts";
import { type PolicyName, policyOf } from "./index.ts";
import { featureScoring, lagOf } from "./policy.ts";
import { POLICY_NAMES } from "./rules.ts";

/** What a lane names the scoring of its policy by on the GPU; 0 where scores are fixed once written. */
export function scoringId(name: PolicyName): number {
  const { scoring, observation } = policyOf(name);
  return scoring || observation?.accumulate ? POLICY_NAMES.indexOf(name) + 1 : 0;
}

/** When a cache is scored while decoding: before each position that is `phase` modulo `every`. */
export interface ScoringTurn {
  readonly every: number;
  readonly phase: number;
}

/** None may be unscored once it has left the window; by chunks, whenever one is complete: `every` is their size. */
export function scoringTurn({ policy, budget, window, sinks }: CacheSettings): ScoringTurn {
  const lag = lagOf(policyOf(policy));
  if (lag === undefined) {
    const every = featureScoring(policyOf(policy))?.every ?? 1;
    return { every: Math.max(1, Math.min(every, window)), phase: 0 };
  }
  // Up to two chunks have no score yet, and beside them at least one pair has.
  const fits = budget === "full" ? lag : (budget - sinks) >> 1;
  const every = Math.max(1, Math.min(lag, window, fits));
  return { every, phase: sinks % every };
}

/** Whether scores given under `a` hold under `b`. */
export function scoresAlike(a: CacheSettings, b: CacheSettings): boolean {
  if (a.policy !== b.policy) return false;
  if (lagOf(policyOf(a.policy)) === undefined) return true;
  return a.sinks === b.sinks && scoringTurn(a).every === scoringTurn(b).every;
}
