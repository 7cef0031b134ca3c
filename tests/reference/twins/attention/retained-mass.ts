import type { Pair } from "../pages/paged-slab.ts";

/** Twin of shaders/attention/attention_weights.wgsl in f64: position -> exp(logit - highest) of a query [D] over `cached`. */
export function attentionWeights(
  query: ArrayLike<number>,
  cached: readonly Pair[],
): Map<number, number> {
  const logits = cached.map(({ key }) => {
    let sum = 0;
    for (let d = 0; d < key.length; d += 1) sum += query[d]! * key[d]!;
    return sum / Math.sqrt(key.length);
  });
  const highest = Math.max(...logits);
  return new Map(cached.map(({ position }, i) => [position, Math.exp(logits[i]! - highest)]));
}

/** Twin of shaders/attention/retained_mass.wgsl in f64: the weights of the positions that a head holds, added up. */
export const retainedSum = (
  weights: ReadonlyMap<number, number>,
  held: readonly { readonly position: number }[],
): number => held.reduce((sum, { position }) => sum + (weights.get(position) ?? 0), 0);
