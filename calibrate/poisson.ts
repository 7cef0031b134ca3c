/** Observations y >= 0 and two covariates each. */
export interface Observations {
  readonly y: Float32Array;
  readonly x1: Float32Array;
  readonly x2: Float32Array;
  readonly count: number;
}

export interface PoissonFit {
  /** Of the constant, x1 and x2. */
  readonly coefficients: readonly [number, number, number];
  readonly converged: boolean;
}

const MAX_STEPS = 50;
/** Newton stops where no coefficient moves by more. */
const TOLERANCE = 1e-7;

/**
 * Poisson regression with a logarithmic link by Newton's method: maximises sum(y eta - exp(eta)) over
 * eta = c + a x1 + b x2. The likelihood is concave; a step that does not raise it is halved. A covariate
 * without variance gets 0.
 */
export function fitPoisson(data: Observations): PoissonFit {
  const { y, count } = data;
  let sum = 0;
  for (let n = 0; n < count; n++) sum += y[n]!;
  if (!(sum > 0)) return { coefficients: [0, 0, 0], converged: false };
  let beta: [number, number, number] = [Math.log(sum / count), 0, 0];
  let here = moments(data, beta);
  for (let step = 0; step < MAX_STEPS; step++) {
    const move = solve3(here.hessian, here.gradient);
    let scale = 1;
    let next = beta;
    let there = here;
    for (; scale > 1e-6; scale /= 2) {
      next = beta.map((value, i) => value + scale * move[i]!) as [number, number, number];
      there = moments(data, next);
      if (there.likelihood >= here.likelihood - 1e-12 * Math.abs(here.likelihood)) break;
    }
    if (scale <= 1e-6) return { coefficients: beta, converged: true };
    beta = next;
    here = there;
    if (move.every((value) => Math.abs(value) * scale < TOLERANCE))
      return { coefficients: beta, converged: true };
  }
  return { coefficients: beta, converged: false };
}

interface Moments {
  likelihood: number;
  gradient: [number, number, number];
  /** Upper triangle of X^T diag(mu) X: 00 01 02 11 12 22. */
  hessian: [number, number, number, number, number, number];
}

function moments({ y, x1, x2, count }: Observations, beta: readonly number[]): Moments {
  const [c, a, b] = beta as [number, number, number];
  let likelihood = 0;
  let g0 = 0;
  let g1 = 0;
  let g2 = 0;
  let h00 = 0;
  let h01 = 0;
  let h02 = 0;
  let h11 = 0;
  let h12 = 0;
  let h22 = 0;
  for (let n = 0; n < count; n++) {
    const u = x1[n]!;
    const v = x2[n]!;
    const eta = c + a * u + b * v;
    const mu = Math.exp(eta);
    likelihood += y[n]! * eta - mu;
    const rest = y[n]! - mu;
    g0 += rest;
    g1 += rest * u;
    g2 += rest * v;
    h00 += mu;
    h01 += mu * u;
    h02 += mu * v;
    h11 += mu * u * u;
    h12 += mu * u * v;
    h22 += mu * v * v;
  }
  return { likelihood, gradient: [g0, g1, g2], hessian: [h00, h01, h02, h11, h12, h22] };
}

/** Cholesky solve of a symmetric 3 x 3 system; directions without information get 0. */
function solve3(hessian: Moments["hessian"], gradient: Moments["gradient"]): number[] {
  const [h00, h01, h02, h11, h12, h22] = hessian;
  const tiny = 1e-12 * (h00 + h11 + h22);
  const l00 = Math.sqrt(h00);
  const l10 = h01 / l00;
  const l20 = h02 / l00;
  const d1 = h11 - l10 * l10;
  const l11 = d1 > tiny ? Math.sqrt(d1) : Number.POSITIVE_INFINITY;
  const l21 = (h12 - l20 * l10) / l11;
  const d2 = h22 - l20 * l20 - l21 * l21;
  const l22 = d2 > tiny ? Math.sqrt(d2) : Number.POSITIVE_INFINITY;
  const z0 = gradient[0] / l00;
  const z1 = (gradient[1] - l10 * z0) / l11;
  const z2 = (gradient[2] - l20 * z0 - l21 * z1) / l22;
  const b = z2 / l22;
  const a = (z1 - l21 * b) / l11;
  return [(z0 - l10 * a - l20 * b) / l00, a, b];
}
