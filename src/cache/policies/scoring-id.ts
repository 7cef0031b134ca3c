import type { CacheSettings } from "../budget.ts";
import { POLICY_NAMES, type PolicyName, policyOf } from "./index.ts";
import { featureScoring, lagOf } from "./policy.ts";

/** The number by which a lane names its policy's scoring on the GPU; 0 if scores are fixed once written. */
export function scoringId(name: PolicyName): number {
  const { scoring, observation } = policyOf(name);
  return scoring || observation?.accumulate ? POLICY_NAMES.indexOf(name) + 1 : 0;
}

/** When a cache is scored while decoding: before each position that is `phase` modulo `every`. */
export interface ScoringTurn {
  readonly every: number;
  readonly phase: number;
}

/** Rescores often enough that no pair leaves the window unscored. Policies by chunks rescore whenever a chunk completes. */
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
