import { attend } from "./attention-decode.ts";
import type { Pair } from "./paged-cache.ts";

/**
 * Causal attention of a chunk's rows [M][D] of one query head: row r sees `cached` and rows 0 to r of
 * `chunk`. Twin of shaders/attention_prefill.wgsl.
 */
export function attendChunk(
  queries: readonly ArrayLike<number>[],
  cached: readonly Pair[],
  chunk: readonly Pair[],
): Float64Array[] {
  return queries.map((query, r) => attend(query, [...cached, ...chunk.slice(0, r + 1)]));
}
