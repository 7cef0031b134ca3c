import type { Pair } from "./paged-cache.ts";

/**
 * Softmax attention of one query [D] over `pairs`, scaled by 1 / sqrt(D), in f64. Zeros where there are
 * no pairs. Twin of shaders/attention_decode.wgsl with shaders/attention_combine.wgsl.
 */
export function attend(query: ArrayLike<number>, pairs: readonly Pick<Pair, "key" | "value">[]) {
  const dim = query.length;
  const logits = pairs.map(({ key }) => {
    let sum = 0;
    for (let d = 0; d < dim; d += 1) sum += query[d]! * key[d]!;
    return sum / Math.sqrt(dim);
  });
  const highest = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const out = new Float64Array(dim);
  let total = 0;
  pairs.forEach(({ value }, i) => {
    const weight = Math.exp(logits[i]! - highest);
    total += weight;
    for (let d = 0; d < dim; d += 1) out[d]! += weight * value[d]!;
  });
  return total === 0 ? out : out.map((x) => x / total);
}
