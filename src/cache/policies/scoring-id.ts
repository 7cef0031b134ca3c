import { POLICIES, type PolicyName, policyOf } from "./index.ts";

const NAMES = Object.keys(POLICIES);

/** What a lane names the scoring of its policy by on the GPU; 0 where scores are fixed once written. */
export function scoringId(name: PolicyName): number {
  const { scoring, observation } = policyOf(name);
  return scoring || observation?.accumulate ? NAMES.indexOf(name) + 1 : 0;
}

/** Tokens from one scoring to the next: none may be unscored once it has left the window. */
export function scoringInterval(name: PolicyName, window: number): number {
  const { scoring } = policyOf(name);
  return Math.max(1, Math.min(scoring?.every ?? 1, window));
}
