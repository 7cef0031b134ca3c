import { type CacheShape, globalLayers } from "../../kernels/pages/cache-shape.ts";
import { policyOf } from "../policies/index.ts";
import type { SequenceBooks, SequenceUsage } from "./sequence-books.ts";
import type { SequencePages } from "./sequence-pages.ts";
import type { SequenceStates } from "./sequence-states.ts";

/** What a sequence holds, and has dropped. */
export function usageOf(
  shape: CacheShape,
  { counts, seen, evicted, settings }: SequenceBooks,
  pages: SequencePages,
  states: SequenceStates | undefined,
): SequenceUsage {
  const kept = globalLayers(shape).flatMap((layer) => counts[layer]!);
  const { remembers = false } = policyOf(settings.policy);
  const bytesOfStates = states?.bytes ?? 0;
  return {
    tokensSeen: seen,
    pairsKept: kept.reduce((sum, count) => sum + count, 0),
    pairsEvicted: evicted,
    bytes: pages.bytes(remembers) + bytesOfStates,
    bytesOfStates,
  };
}
