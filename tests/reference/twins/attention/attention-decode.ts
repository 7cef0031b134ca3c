import type { Pair } from "../pages/paged-cache.ts";

/** REMAINDER_BIAS and REMAINDER_MOST of shaders/lib/remainder.wgsl. */
const REMAINDER_BIAS = 0.6;
export const REMAINDER_MOST = 512;

/** ln of the sum of exp(logit) of what a query attends to. */
export function attentionLse(
  query: ArrayLike<number>,
  kept: readonly Pick<Pair, "key" | "value">[],
  remainder: ArrayLike<number> = [0],
): number {
  const logits = logitsOf(query, kept, remainder).logits;
  const highest = Math.max(...logits);
  return highest + Math.log(logits.reduce((sum, x) => sum + Math.exp(x - highest), 0));
}

/** What a query attends to, the remainder as one more pair, and its logits. */
function logitsOf(
  query: ArrayLike<number>,
  kept: readonly Pick<Pair, "key" | "value">[],
  remainder: ArrayLike<number>,
) {
  const dim = query.length;
  const dropped = remainder[0]!;
  const mean = (first: number) =>
    Float32Array.from({ length: dim }, (_, d) => remainder[first + d]! / dropped);
  const pairs = dropped > 0 ? [...kept, { key: mean(1), value: mean(1 + dim) }] : kept;
  const logits = pairs.map(({ key }) => {
    let sum = 0;
    for (let d = 0; d < dim; d += 1) sum += query[d]! * key[d]!;
    return sum / Math.sqrt(dim);
  });
  if (dropped > 0)
    logits[kept.length]! += Math.log(Math.min(dropped, REMAINDER_MOST)) + REMAINDER_BIAS;
  return { pairs, logits };
}

/**
 * Softmax attention of one query [D] over `pairs`, scaled by 1 / sqrt(D), in f64. Zeros where there are
 * no pairs. `remainder`: pairs that were dropped, in sum, [n, keys [D], values [D]]. Twin of shaders/attention/attention_decode.wgsl with shaders/attention/attention_combine.wgsl.
 */
export function attend(
  query: ArrayLike<number>,
  kept: readonly Pick<Pair, "key" | "value">[],
  remainder: ArrayLike<number> = [0],
) {
  const dim = query.length;
  const { pairs, logits } = logitsOf(query, kept, remainder);
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
