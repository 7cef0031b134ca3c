import { type CacheSettings, capacityOf } from "../../cache/budget.ts";
import { reach } from "../../cache/sequence/going-back.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { PAGE_SLOTS } from "../../kernels/pages/cache-shape.ts";
import type { CacheHolder } from "../cache-holders.ts";
import { commonPrefix } from "./prefix.ts";

/** A place whose pages a prompt can start from, and how many tokens the two have in common. */
interface Donor {
  readonly place: CacheHolder;
  readonly alive: KvSequence;
  readonly common: number;
}

/** The holder that has most of the prompt's beginning: at least a page, or nothing is gained. */
export function donorFor(
  holders: Iterable<CacheHolder>,
  prompt: readonly number[],
  settings: CacheSettings,
): Donor | undefined {
  const most = Math.min(prompt.length - 1, capacityOf(settings));
  let donor: Donor | undefined;
  for (const place of holders) {
    const { alive, seen } = place;
    // Scores are stored with the keys: they must be of the same policy.
    if (!alive?.whole || alive.settings.policy !== settings.policy) continue;
    const common = reach(alive, Math.min(commonPrefix(seen, prompt), most));
    if (common > (donor?.common ?? PAGE_SLOTS - 1)) donor = { place, alive, common };
  }
  return donor;
}
