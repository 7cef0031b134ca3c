import { LANE } from "../../kernels/records.ts";
import type { CacheSettings } from "../budget.ts";
import { policyOf } from "../policies/index.ts";
import { scoringId, scoringTurn } from "../policies/scoring-id.ts";

/** Seed of the `random` policy: fixed, so that a run can be repeated. */
const RANDOM_SEED = 1;

/** What the kernels read of a sequence's settings, and how often its positions were folded: its record among the lanes. */
export function laneWords(settings: CacheSettings, folds: number): Uint32Array {
  const { policy, window, sinks } = settings;
  const { score, remembers = false } = policyOf(policy);
  return LANE.pack({
    ...score,
    window,
    sinks,
    seed: RANDOM_SEED,
    scoring: scoringId(policy),
    ...scoringTurn(settings),
    remembers: Number(remembers),
    folds,
  });
}
