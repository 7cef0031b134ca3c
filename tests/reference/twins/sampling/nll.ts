/** log(sum(exp(logits))) - logits[target] of one row [V], in f64. Twin of shaders/sampling/nll.wgsl. */
export function nll(logits: ArrayLike<number>, target: number): number {
  let highest = -Infinity;
  for (let v = 0; v < logits.length; v += 1) highest = Math.max(highest, logits[v]!);
  let sum = 0;
  for (let v = 0; v < logits.length; v += 1) sum += Math.exp(logits[v]! - highest);
  return highest + Math.log(sum) - logits[target]!;
}
