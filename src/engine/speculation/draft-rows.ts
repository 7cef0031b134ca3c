import { policyOf } from "../../cache/policies/index.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { decodeSplits } from "../../kernels/attention/attention-tiling.ts";
import { isDue } from "../steps/step-needs.ts";

/**
 * How many of `wanted` tokens can be run in one step: attention must be split alike for each, and neither may the
 * cache be scored between them, nor observed, nor heads get budgets of their own, nor positions be folded.
 */
export function draftRows(sequence: KvSequence, wanted: number): number {
  const { observation } = policyOf(sequence.settings.policy);
  if (observation?.accumulate || sequence.dividesWith(wanted) || sequence.foldsWith(wanted))
    return 1;
  const splits = (row: number): number => decodeSplits(sequence.pages.longestAfter(row + 1));
  let rows = 1;
  while (rows < wanted && splits(rows) === splits(0) && !isDue(sequence, rows)) rows += 1;
  return rows;
}
