/** CPU twin of shaders/products/matmul.wgsl, in f64: r = x W^T + bias, x [M, K], W [N, K]. */
export function matmul(
  x: ArrayLike<number>,
  weights: ArrayLike<number>,
  rows: number,
  n: number,
  k: number,
  bias?: ArrayLike<number>,
): Float64Array {
  const r = new Float64Array(rows * n);
  for (let m = 0; m < rows; m++)
    for (let row = 0; row < n; row++) {
      let sum = bias?.[row] ?? 0;
      for (let i = 0; i < k; i++) sum += x[m * k + i]! * weights[row * k + i]!;
      r[m * n + row] = sum;
    }
  return r;
}

/** silu(gate) * up for rows gate 0, up 0, gate 1, ... of r [M, N]: [M, N / 2]. */
export function swiglu(r: ArrayLike<number>): Float64Array {
  const y = new Float64Array(r.length / 2);
  for (let j = 0; j < y.length; j++) {
    const gate = r[2 * j]!;
    y[j] = (gate / (1 + Math.exp(-gate))) * r[2 * j + 1]!;
  }
  return y;
}
