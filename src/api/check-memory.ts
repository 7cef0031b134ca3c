import { resolveCacheSettings } from "../cache/budget.ts";
import { WinnowError } from "../errors.ts";
import type { ModelEntry } from "../formats/model-registry.ts";
import { slotBytes } from "../kernels/page-format.ts";
import type { CacheOptions } from "./types.ts";

/**
 * Weights plus cache budget of a known model against what may be used, before its download.
 * Throws out_of_memory with the bytes. Models known only by their file are checked by the engine
 * when it has read the header.
 */
export function checkMemory(
  entry: ModelEntry,
  cache: CacheOptions,
  memoryLimit: number | undefined,
): void {
  if (memoryLimit === undefined) return;
  const { layers, kvHeads, headDim } = entry.cache;
  const { budget } = resolveCacheSettings(cache);
  // A full cache grows with the chat: the engine refuses the token that no longer fits.
  const slot = slotBytes({ headDim, ...(cache.kv && { storage: cache.kv }) });
  const kv = budget === "full" ? 0 : layers * kvHeads * budget * slot;
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
