/** Observations y >= 0 and their covariates. */
export interface Observations {
  /** [N] */
  readonly y: Float32Array;
  /** [N, F] */
  readonly x: Float32Array;
  /** F */
  readonly covariates: number;
}

export interface PoissonFit {
  readonly constant: number;
  /** [F] */
  readonly weights: readonly number[];
  readonly converged: boolean;
}

const MAX_STEPS = 50;
/** Newton stops where no coefficient moves by more. */
const TOLERANCE = 1e-7;

/**
 * Poisson regression with a logarithmic link by Newton's method: maximises
 * mean(y eta - exp(eta)) - ridge / 2 |coefficients|^2 over eta = constant + x . weights, the constant being
 * one of the coefficients. The likelihood is concave; a step that does not raise it is halved. Without a
 * ridge, a covariate without variance gets 0.
 */
export function fitPoisson(data: Observations, ridge = 0): PoissonFit {
  const { y, covariates } = data;
  const size = covariates + 1;
  const result = (beta: Float64Array, converged: boolean): PoissonFit => ({
    constant: beta[0]!,
    weights: Array.from(beta.subarray(1)),
    converged,
  });
  const mean = y.reduce((sum, value) => sum + value, 0) / y.length;
  let beta = new Float64Array(size);
  if (!(mean > 0)) return result(beta, false);
  beta[0] = Math.log(mean);
  let here = moments(data, beta, ridge);
  for (let step = 0; step < MAX_STEPS; step++) {
    const move = solve(here.hessian, here.gradient);
    let scale = 1;
    let next = beta;
    let there = here;
    for (; scale > 1e-6; scale /= 2) {
      next = beta.map((value, i) => value + scale * move[i]!);
      there = moments(data, next, ridge);
      if (there.likelihood >= here.likelihood - 1e-12 * Math.abs(here.likelihood)) break;
    }
    if (scale <= 1e-6) return result(beta, true);
    beta = next;
    here = there;
    if (move.every((value) => Math.abs(value) * scale < TOLERANCE)) return result(beta, true);
  }
  return result(beta, false);
}

interface Moments {
  readonly likelihood: number;
  /** [F + 1] */
  readonly gradient: Float64Array;
  /** Lower triangle of mean(X^T diag(exp eta) X) + ridge, in rows [F + 1, F + 1]. */
  readonly hessian: Float64Array;
}

function moments({ y, x, covariates }: Observations, beta: Float64Array, ridge: number): Moments {
  const size = covariates + 1;
  const gradient = new Float64Array(size);
  const hessian = new Float64Array(size * size);
  const row = new Float64Array(size).fill(1);
  let likelihood = 0;
  for (let n = 0, at = 0; n < y.length; n++) {
    let eta = beta[0]!;
    for (let i = 1; i < size; i++, at++) {
      row[i] = x[at]!;
      eta += beta[i]! * row[i]!;
    }
    const expected = Math.exp(eta);
    likelihood += y[n]! * eta - expected;
    const rest = y[n]! - expected;
    for (let i = 0; i < size; i++) {
      gradient[i]! += rest * row[i]!;
      const scaled = expected * row[i]!;
      for (let j = 0; j <= i; j++) hessian[i * size + j]! += scaled * row[j]!;
    }
  }
  likelihood /= y.length;
  for (let i = 0; i < size; i++) {
    likelihood -= (ridge / 2) * beta[i]! ** 2;
    gradient[i] = gradient[i]! / y.length - ridge * beta[i]!;
    for (let j = 0; j <= i; j++) hessian[i * size + j]! /= y.length;
    hessian[i * size + i]! += ridge;
  }
  return { likelihood, gradient, hessian };
}

/** Cholesky solve of a symmetric system, of which the lower triangle is read; directions without information get 0. */
function solve(matrix: Float64Array, right: Float64Array): Float64Array {
  const size = right.length;
  let trace = 0;
  for (let i = 0; i < size; i++) trace += matrix[i * size + i]!;
  const lower = new Float64Array(size * size);
  const x = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = matrix[i * size + j]!;
      for (let k = 0; k < j; k++) rest -= lower[i * size + k]! * lower[j * size + k]!;
      if (j < i) lower[i * size + j] = rest / lower[j * size + j]!;
      else lower[i * size + i] = rest > 1e-12 * trace ? Math.sqrt(rest) : Number.POSITIVE_INFINITY;
    }
    let rest = right[i]!;
    for (let k = 0; k < i; k++) rest -= lower[i * size + k]! * x[k]!;
    x[i] = rest / lower[i * size + i]!;
  }
  for (let i = size - 1; i >= 0; i--) {
    let rest = x[i]!;
    for (let k = i + 1; k < size; k++) rest -= lower[k * size + i]! * x[k]!;
    x[i] = rest / lower[i * size + i]!;
  }
  return x;
}
