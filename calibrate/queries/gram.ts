/** Strided rows inside a larger array: row i starts at `offset + i * stride`. */
export interface Rows {
  readonly data: Float32Array;
  readonly count: number;
  readonly offset: number;
  readonly stride: number;
}

/**
 * The Gram matrix Q^T Q [D, D] of N rows, in f64: its leading eigenvector is the first right
 * singular vector of Q, without an N x D decomposition. Not centred: the mean direction is the point.
 */
export function gramMatrix(rows: Rows, dim: number): Float64Array {
  const gram = new Float64Array(dim * dim);
  const row = new Float64Array(dim);
  for (let n = 0; n < rows.count; n++) {
    const at = rows.offset + n * rows.stride;
    for (let i = 0; i < dim; i++) row[i] = rows.data[at + i]!;
    for (let i = 0; i < dim; i++) {
      const value = row[i]!;
      for (let j = i; j < dim; j++) gram[i * dim + j]! += value * row[j]!;
    }
  }
  for (let i = 0; i < dim; i++) for (let j = 0; j < i; j++) gram[i * dim + j] = gram[j * dim + i]!;
  return gram;
}
