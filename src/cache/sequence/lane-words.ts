import { LANE } from "../../kernels/records.ts";
import { policyOf } from "../policies/index.ts";
import { scoringId, scoringTurn } from "../policies/scoring-id.ts";
import type { SequenceState } from "./sequence-books.ts";

/** Seed of the `random` policy: fixed, so that a run can be repeated. */
const RANDOM_SEED = 1;

/** What the kernels read of a sequence: its record among the lanes. */
export function laneWords({ settings, folds, system }: SequenceState): Uint32Array {
  const { policy, window, sinks, protect } = settings;
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
    system: protect === "system" ? system : 0,
  });
}
