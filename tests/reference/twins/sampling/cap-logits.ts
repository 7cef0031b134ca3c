/** Logits [V] under a soft cap; what is no number stays so: twin of shaders/sampling/cap_logits.wgsl. */
export const capLogits = (logits: ArrayLike<number>, cap: number): number[] =>
  Array.from(logits, (x) => (Number.isFinite(x) ? cap * Math.tanh(x / cap) : x));
