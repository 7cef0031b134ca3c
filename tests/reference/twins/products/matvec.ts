import { matmul } from "./matmul.ts";
import { rmsNorm } from "./rms-norm.ts";

/** CPU twin of shaders/products/matvec.wgsl, in f64: norm(x) W^T + bias; without `gain` no norm. */
export function matvec(
  x: ArrayLike<number>,
  weights: ArrayLike<number>,
  rows: number,
  n: number,
  k: number,
  options: { gain?: ArrayLike<number>; epsilon?: number; bias?: ArrayLike<number> } = {},
): Float64Array {
  const { gain, epsilon = 0, bias } = options;
  const input = gain ? rmsNorm(x, gain, rows, k, epsilon) : x;
  return matmul(input, weights, rows, n, k, bias);
}
