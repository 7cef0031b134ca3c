/** log(sum(exp(logits))) and the `count` highest logits of one row [V], in f64. Twin of shaders/sampling/top_logits.wgsl. */
export function topLogits(
  logits: ArrayLike<number>,
  count: number,
): { sum: number; top: { token: number; logit: number }[] } {
  const values = Array.from({ length: logits.length }, (_, v) => {
    const logit = logits[v]!;
    return Number.isNaN(logit) ? -3.4e38 : Math.min(3.4e38, Math.max(-3.4e38, logit));
  });
  const top = values
    .map((logit, token) => ({ token, logit }))
    .sort((a, b) => b.logit - a.logit || a.token - b.token)
    .slice(0, count);
  const highest = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const value of values) sum += Math.exp(value - highest);
  return { sum: highest + Math.log(sum), top };
}
