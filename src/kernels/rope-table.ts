/** Positions of the low rows; angles of higher ones are the sum of a high and a low row. */
const LOW = 256;

/**
 * cos/sin pairs for shaders/lib/rope.wgsl: [256 + contextLength / 256, D/2, 2], computed in f64.
 * `inverseFrequencies` [D/2] are radians per position (RoPE, arXiv 2104.09864).
 */
export function ropeTable(inverseFrequencies: Float64Array, contextLength: number): Float32Array {
  const half = inverseFrequencies.length;
  const high = Math.ceil(contextLength / LOW) + 1;
  const table = new Float32Array((LOW + high) * half * 2);
  for (let row = 0; row < LOW + high; row += 1) {
    const position = row < LOW ? row : (row - LOW) * LOW;
    for (let i = 0; i < half; i += 1) {
      const angle = position * inverseFrequencies[i]!;
      table[(row * half + i) * 2] = Math.cos(angle);
      table[(row * half + i) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}

/** Inverse frequencies base^(-2i/D) [D/2], divided by `factors` [D/2] where a model has them (Llama 3). */
export function inverseFrequencies(
  headDim: number,
  base: number,
  factors?: ArrayLike<number>,
): Float64Array {
  return Float64Array.from(
    { length: headDim / 2 },
    (_, i) => base ** ((-2 * i) / headDim) / (factors?.[i] ?? 1),
  );
}
