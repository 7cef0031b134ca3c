/** Logits [V] with what is added for each token: twin of shaders/sampling/bias_logits.wgsl. */
export function biasLogits(
  logits: ArrayLike<number>,
  added: ReadonlyMap<number, number>,
): number[] {
  return Array.from(logits, (logit, token) => Math.fround(logit + (added.get(token) ?? 0)));
}
