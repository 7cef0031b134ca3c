import { resolveCacheSettings } from "../../cache/budget.ts";
import { WinnowError } from "../../errors.ts";
import type { ModelEntry } from "../../fetch/resolve/model-registry.ts";
import { slotBytes } from "../../kernels/pages/page-format.ts";
import type { CacheOptions } from "../types.ts";

/**
 * Weights plus cache budget of a known model against what may be used, before its download.
 * Throws out_of_memory with the bytes, and invalid_argument for more whole layers than it has. Models known only by their file are checked by the engine
 * when it has read the header.
 */
export function checkMemory(
  entry: ModelEntry,
  cache: CacheOptions,
  memoryLimit: number | undefined,
): void {
  const { layers, kvHeads, headDim, windowLayers = 0 } = entry.cache;
  const { budget, wholeLayers } = resolveCacheSettings(cache, layers);
  if (memoryLimit === undefined) return;
  // Which layers have a window is not known yet: so many of the whole ones have none at least.
  const whole = Math.max(0, wholeLayers - windowLayers);
  const pairs = (budget: number): number => (layers - whole) * budget + whole * entry.contextLength;
  // A full cache grows with the chat: the engine refuses the token that no longer fits.
  const slot = slotBytes({ headDim, ...(cache.kv && { storage: cache.kv }) });
  const kv = budget === "full" ? 0 : kvHeads * pairs(budget) * slot;
  const needed = entry.bytes + kv;
  if (needed <= memoryLimit) return;
  throw new WinnowError(
    "out_of_memory",
    `memoryLimit: ${entry.name} needs ${needed} bytes (weights ${entry.bytes}, cache ${kv}), ${memoryLimit} may be used`,
    {
      hint: "Lower cache.budget, raise memoryLimit, or take a smaller model.",
      details: { needed, weights: entry.bytes, kv, limit: memoryLimit },
    },
  );
}
