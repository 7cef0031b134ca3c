/** Logits [V] without the tokens whose bit is 0: twin of shaders/sampling/mask_logits.wgsl. */
export const maskLogits = (logits: ArrayLike<number>, mask: Uint32Array): number[] =>
  Array.from(logits, (logit, i) => ((mask[i >>> 5]! >>> (i & 31)) & 1 ? logit : -3.4e38));

/** The mask [ceil(V / 32)] of some tokens. */
export function maskOf(tokens: Iterable<number>, vocabulary: number): Uint32Array<ArrayBuffer> {
  const mask = new Uint32Array(Math.ceil(vocabulary / 32));
  for (const token of tokens) mask[token >>> 5]! |= 1 << (token & 31);
  return mask;
}
