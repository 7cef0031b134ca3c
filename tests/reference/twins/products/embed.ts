/** CPU twin of shaders/products/embed.wgsl: y[m] = W[tokens[m]], W f32 [V, E]. */
export function embed(
  weights: Float32Array,
  cols: number,
  tokens: readonly number[],
): Float32Array {
  const y = new Float32Array(tokens.length * cols);
  tokens.forEach((token, m) => {
    y.set(weights.subarray(token * cols, (token + 1) * cols), m * cols);
  });
  return y;
}
