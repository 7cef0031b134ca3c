import { type CacheSettings, capacityOf } from "../../cache/budget.ts";
import { policyOf } from "../../cache/policies/index.ts";
import { scoresAlike } from "../../cache/policies/scoring-id.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { Runner } from "../steps/runner.ts";

export { checkBudget } from "../memory/excess.ts";

/**
 * Puts a sequence under new settings: pairs are scored anew where their scores are of no use under them, and what no
 * longer fits is evicted. Throws out_of_memory with nothing lost.
 */
export function changeSettings(
  runner: Runner,
  sequence: KvSequence,
  settings: CacheSettings,
): void {
  const shrinks = sequence.exceeds(settings);
  const changing = policyOf(settings.policy).scoring !== undefined;
  const before = sequence.settings;
  const anew = before.policy !== settings.policy;
  // Scores that change may be old, or missing, as long as nothing had to go.
  const rescored = !scoresAlike(before, settings) || (changing && lowers(before, settings));
  // What may fail comes first: copies of pages that are shared with a fork.
  if (rescored || shrinks)
    sequence.pages.own(
      rescored || changing ? {} : { capacities: sequence.capacitiesUnder(settings) },
    );
  sequence.setSettings(settings);
  if (rescored && sequence.tokensSeen > 0) runner.rescore(sequence, anew);
  runner.shrink(sequence);
}

/** Whether heads of some layer may hold less than before. */
const lowers = (before: CacheSettings, after: CacheSettings): boolean =>
  capacityOf(after) < capacityOf(before) || after.wholeLayers < before.wholeLayers;

export const sameSettings = (a: CacheSettings, b: CacheSettings): boolean =>
  (Object.keys(a) as (keyof CacheSettings)[]).every((name) => a[name] === b[name]);
