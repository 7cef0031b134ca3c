import { possibleSettings } from "../../cache/budget.ts";
import type { CacheOptions } from "../../cache/cache-options.ts";

/** Fewer pairs than this are kept only where they were asked for. */
const LEAST_PAIRS = 64;

/**
 * The cache to begin with. A bound that the request names stays. Without one it is `budget` pairs per head, the model's
 * own, or half as many, and so on, as long as `fits` refuses; where nothing fits, the request itself, for the caller
 * to refuse.
 */
export function withDefaultBudget(
  request: CacheOptions,
  budget: number,
  fits: (request: CacheOptions) => boolean,
): CacheOptions {
  const named = request.budget !== undefined || request.bytes !== undefined;
  if (named || request.policy === "full") return request;
  for (let pairs = budget; pairs >= LEAST_PAIRS; pairs = Math.floor(pairs / 2)) {
    const smaller = { ...request, budget: pairs };
    if (possibleSettings(smaller) && fits(smaller)) return smaller;
  }
  return { ...request, budget };
}
