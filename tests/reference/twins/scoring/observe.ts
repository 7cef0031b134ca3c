import type { Observation } from "../../../../src/kernels/scoring/observe.ts";
import type { Pair } from "../pages/paged-slab.ts";

/** One query group's heads of one observed token, and how many candidates it sees: the first ones. */
export interface ObservedQuery {
  /** [group][D], after RoPE. */
  heads: readonly ArrayLike<number>[];
  sees: number;
}

/**
 * Twin of shaders/scoring/observe_lse.wgsl and observe.wgsl in f64: scores of a kv head's candidates, of which the
 * first `count` are cached and the others rows of the prompt block, by the attention of all queries.
 */
export function observe(
  candidates: readonly Pair[],
  count: number,
  queries: readonly ObservedQuery[],
  { pool, accumulate, peaks = false }: Observation,
): number[] {
  const group = queries[0]!.heads.length;
  const byHead = Array.from({ length: group }, (_, h) => {
    const total = new Float64Array(candidates.length);
    for (const { heads, sees } of queries)
      attention(heads[h]!, candidates.slice(0, sees)).forEach((x, i) => {
        total[i]! += accumulate ? x : x / queries.length;
      });
    return total;
  });
  const mass = candidates.map((_, i) => {
    const heads = byHead.map((x) => x[i]!);
    return peaks ? Math.max(...heads) : heads.reduce((a, b) => a + b, 0) / group;
  });
  return mass.map((own, i) => {
    let pooled = own;
    if (i >= count) {
      const near = [];
      for (let j = i - pool; j <= i + pool; j += 1)
        near.push(j >= count && j < mass.length ? mass[j]! : 0);
      pooled = peaks ? Math.max(...near) : near.reduce((a, b) => a + b, 0) / near.length;
    }
    return accumulate ? candidates[i]!.score + pooled : pooled;
  });
}

function attention(query: ArrayLike<number>, candidates: readonly Pair[]): number[] {
  const logits = candidates.map(({ key }) => {
    let sum = 0;
    for (let d = 0; d < key.length; d += 1) sum += query[d]! * key[d]!;
    return sum / Math.sqrt(key.length);
  });
  const most = Math.max(...logits);
  const weights = logits.map((x) => Math.exp(x - most));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((x) => x / total);
}
