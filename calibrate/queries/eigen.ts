import { invalidArgument } from "../../src/errors.ts";

export interface LeadingEigenvector {
  /** [D], unit length; its sign is arbitrary. */
  readonly vector: Float64Array;
  /** The largest eigenvalue. */
  readonly value: number;
  /** The largest eigenvalue's part of the trace, in (0, 1]. */
  readonly share: number;
}

/** 1 - ||B||^2 for trace-1 B, below which B is taken as rank one: rounding of a D x D product. */
const RANK_ONE = 1e-13;
/** B = A^(2^40): even a relative gap of 1e-11 between the two largest eigenvalues is resolved. */
const MAX_SQUARINGS = 40;

/** B * B scaled to trace 1, for symmetric B [dim, dim]. */
function squared(b: Float64Array, dim: number): Float64Array {
  const out = new Float64Array(dim * dim);
  let trace = 0;
  for (let i = 0; i < dim; i++) {
    for (let j = i; j < dim; j++) {
      let sum = 0;
      for (let k = 0; k < dim; k++) sum += b[i * dim + k]! * b[j * dim + k]!;
      out[i * dim + j] = sum;
      out[j * dim + i] = sum;
    }
    trace += out[i * dim + i]!;
  }
  for (let i = 0; i < out.length; i++) out[i]! /= trace;
  return out;
}

function normalise(vector: Float64Array): Float64Array {
  const norm = Math.hypot(...vector);
  return vector.map((x) => x / norm);
}

function multiply(a: Float64Array, vector: Float64Array): Float64Array {
  const dim = vector.length;
  return vector.map((_, i) => {
    let sum = 0;
    for (let k = 0; k < dim; k++) sum += a[i * dim + k]! * vector[k]!;
    return sum;
  });
}

/**
 * Leading eigenvector of a symmetric positive semi-definite matrix [dim, dim] (a Gram matrix).
 * Repeated squaring is power iteration whose exponent doubles each step: A^(2^k) tends to v v^T, in
 * about log2(1 / relative gap) squarings, where plain power iteration would need 1 / gap steps.
 * Two equal largest eigenvalues have no one direction: then any vector of their plane is returned.
 * @throws invalid_argument for a zero matrix or non-finite entries
 */
export function leadingEigenvector(matrix: Float64Array, dim: number): LeadingEigenvector {
  let trace = 0;
  for (let i = 0; i < dim; i++) trace += matrix[i * dim + i]!;
  if (!matrix.every(Number.isFinite) || !Number.isFinite(trace))
    throw invalidArgument("matrix", "holds values that are not finite");
  if (!(trace > 0)) throw invalidArgument("matrix", "its trace is not positive");
  let b: Float64Array = matrix.map((x) => x / trace);
  for (let step = 0; step < MAX_SQUARINGS; step++) {
    let squares = 0;
    for (const x of b) squares += x * x;
    if (1 - squares < RANK_ONE) break;
    b = squared(b, dim);
  }
  // v v^T: every column is v times a number; the one with the largest diagonal has the least noise.
  let column = 0;
  for (let i = 1; i < dim; i++) if (b[i * dim + i]! > b[column * dim + column]!) column = i;
  // One step with A itself takes out what rounding in the squarings left of smaller eigenvectors.
  const first = normalise(b.slice(column * dim, (column + 1) * dim));
  const vector = normalise(multiply(matrix, first));
  const image = multiply(matrix, vector);
  const value = vector.reduce((sum, x, i) => sum + x * image[i]!, 0);
  return { vector, value, share: value / trace };
}
