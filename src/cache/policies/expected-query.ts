/**
 * The mean query of the next tokens, in the frame of the present one: RoPE turns pair j of a query at
 * `offset` tokens from now by offset * frequency[j], so the mean over offsets multiplies the pair by
 * the mean of exp(i offset frequency[j]).
 *
 * @param mean [D], the mean query before RoPE, half-split order
 * @param frequencies [D/2]
 * @returns [D], to be turned to the present position
 */
export function expectedQuery(
  mean: ArrayLike<number>,
  frequencies: ArrayLike<number>,
  offsets: readonly number[],
): Float32Array {
  const half = frequencies.length;
  const out = new Float32Array(2 * half);
  for (let j = 0; j < half; j += 1) {
    const [re, im] = meanTurn(frequencies[j]!, offsets);
    out[j] = mean[j]! * re - mean[j + half]! * im;
    out[j + half] = mean[j]! * im + mean[j + half]! * re;
  }
  return out;
}

/** R S R' of a covariance S [D, D] for the mean turn R over the offsets. */
export function expectedCovariance(
  covariance: ArrayLike<number>,
  frequencies: ArrayLike<number>,
  offsets: readonly number[],
): Float32Array {
  const dim = 2 * frequencies.length;
  const transposed = (m: Float32Array): Float32Array =>
    m.map((_, i) => m[(i % dim) * dim + Math.floor(i / dim)]!);
  const rowsTurned = (m: ArrayLike<number>): Float32Array => {
    const out = new Float32Array(dim * dim);
    for (let i = 0; i < dim; i += 1) {
      const row = Array.prototype.slice.call(m, i * dim, (i + 1) * dim) as number[];
      out.set(expectedQuery(row, frequencies, offsets), i * dim);
    }
    return out;
  };
  return rowsTurned(transposed(rowsTurned(covariance)));
}

function meanTurn(frequency: number, offsets: readonly number[]): [number, number] {
  let re = 0;
  let im = 0;
  for (const offset of offsets) {
    re += Math.cos(offset * frequency);
    im += Math.sin(offset * frequency);
  }
  return [re / offsets.length, im / offsets.length];
}
