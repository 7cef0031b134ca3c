import { resolveCacheSettings } from "../../cache/budget.ts";
import { catalogueFootprint } from "../../engine/memory/footprint.ts";
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
  const settings = resolveCacheSettings(cache, entry.cache.layers);
  const error = misfit(entry.name, catalogueFootprint(entry, settings, cache.kv), memoryLimit);
  if (error) throw error;
}
