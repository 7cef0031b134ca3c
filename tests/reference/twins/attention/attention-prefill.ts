import type { Pair } from "../pages/paged-cache.ts";
import { attend, attentionLse } from "./attention-decode.ts";

/**
 * Causal attention of a chunk's rows [M][D] of one query head: row r sees `cached` and rows 0 to r of
 * `chunk`, and what was dropped, in sum; with a `window`, the last so many of them by position alone. Twin of
 * shaders/attention/attention_prefill.wgsl.
 */
export function attendChunk(
  queries: readonly ArrayLike<number>[],
  cached: readonly Pair[],
  chunk: readonly Pair[],
  window = 0,
  remainder: ArrayLike<number> = [0],
): { out: Float64Array; lse: number }[] {
  const visible = (pair: Pair, r: number): boolean =>
    window === 0 || chunk[r]!.position - pair.position < window;
  return queries.map((query, r) => {
    const past = [...cached, ...chunk.slice(0, r + 1)].filter((pair) => visible(pair, r));
    return {
      out: attend(query, past, remainder),
      lse: attentionLse(query, past, remainder),
    };
  });
}
