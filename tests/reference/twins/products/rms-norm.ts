/** CPU twin of shaders/products/rms_norm.wgsl, in f64: x [M, E] * gain * rsqrt(mean(x^2) + epsilon). */
export function rmsNorm(
  x: ArrayLike<number>,
  gain: ArrayLike<number>,
  rows: number,
  cols: number,
  epsilon: number,
): Float64Array {
  const y = new Float64Array(rows * cols);
  for (let m = 0; m < rows; m++) {
    let squares = 0;
    for (let k = 0; k < cols; k++) squares += x[m * cols + k]! ** 2;
    const scale = 1 / Math.sqrt(squares / cols + epsilon);
    for (let k = 0; k < cols; k++) y[m * cols + k] = x[m * cols + k]! * gain[k]! * scale;
  }
  return y;
}
