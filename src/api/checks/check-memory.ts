import { resolveCacheSettings } from "../../cache/budget.ts";
import { withDefaultBudget } from "../../engine/memory/default-budget.ts";
import { catalogueFootprint } from "../../engine/memory/footprint.ts";
import type { WinnowError } from "../../errors.ts";
import type { ModelEntry } from "../../fetch/resolve/model-registry.ts";
import { misfit } from "../../gpu/memory.ts";
import type { CacheOptions } from "../types.ts";

/**
 * Weights plus cache budget of a known model against what may be used, before its download. Throws out_of_memory with
 * the bytes, and invalid_argument for more whole layers than it has. Of other models the engine reads the header first.
 */
export function checkMemory(
  entry: ModelEntry,
  cache: CacheOptions,
  memoryLimit = Number.POSITIVE_INFINITY,
): void {
  const excess = ({ bytes, ...asked }: CacheOptions): WinnowError | undefined => {
    const settings = resolveCacheSettings(asked, entry.cache.layers);
    const { kv, ...rest } = catalogueFootprint(entry, settings, asked.kv);
    return misfit(entry.name, { ...rest, kv: bytes ?? kv }, memoryLimit);
  };
  const error = excess(withDefaultBudget(cache, entry.budget, (asked) => !excess(asked)));
  if (error) throw error;
}
