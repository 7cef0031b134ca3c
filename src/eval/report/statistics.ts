import { seededRandom } from "../../random.ts";

/** A value with its 95 % confidence interval; no interval where one sample says nothing about spread. */
export interface Estimate {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

const Z = 1.959963984540054;

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The quantile at `share` (0 to 1), between the two nearest values where it falls between them, as PyTorch and NumPy have it. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = sorted[Math.floor(at)]!;
  return low + (at % 1) * (sorted[Math.ceil(at)]! - low);
}

/** Wilson's score interval of `hits` out of `n`. */
export function wilson(hits: number, n: number): Required<Estimate> {
  const p = hits / n;
  const z2 = Z * Z;
  const centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  const half = (Z / (1 + z2 / n)) * Math.sqrt((p * (1 - p)) / n + z2 / (4 * n * n));
  return { value: p, low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Student's interval of the mean. */
export function student(values: readonly number[]): Estimate {
  const value = mean(values);
  const n = values.length;
  if (n < 2) return { value };
  const variance = values.reduce((sum, x) => sum + (x - value) ** 2, 0) / (n - 1);
  const half = studentQuantile(n - 1) * Math.sqrt(variance / n);
  return { value, low: value - half, high: value + half };
}

/** Percentile bootstrap of the mean: `resamples` means of n values drawn with replacement. */
export function bootstrap(values: readonly number[], seed = 1, resamples = 2000): Estimate {
  const value = mean(values);
  const n = values.length;
  if (n < 2) return { value };
  const random = seededRandom(seed);
  const means = Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < n; i += 1) sum += values[Math.floor(random() * n)]!;
    return sum / n;
  });
  return { value, low: quantile(means, 0.025), high: quantile(means, 0.975) };
}

/** Scores of trials, 0 to 1: Wilson where each is right or wrong, bootstrap where shares count. */
export function scores(values: readonly number[]): Estimate {
  const binary = values.every((value) => value === 0 || value === 1);
  return binary
    ? wilson(values.filter((value) => value === 1).length, values.length)
    : bootstrap(values);
}

/** The 0.975 quantile of Student's distribution with `freedom` degrees: bisection on its CDF. */
export function studentQuantile(freedom: number): number {
  let low = 0;
  let high = 20;
  for (let i = 0; i < 80; i += 1) {
    const middle = (low + high) / 2;
    // P(|T| > t) = I(v / (v + t^2); v / 2, 1 / 2)
    const tail = incompleteBeta(freedom / (freedom + middle * middle), freedom / 2, 0.5);
    if (tail > 0.05) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** The regularised incomplete beta function, by its continued fraction (Lentz). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(
    logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log(1 - x),
  );
  let c = 1;
  let d = 1 / (1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m < 300; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / (1 + even * d);
    c = 1 + even / c;
    fraction *= c * d;
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / (1 + odd * d);
    c = 1 + odd / c;
    fraction *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return (front * fraction) / a;
}

/** Lanczos' approximation, good to about 1e-14 for positive x. */
function logGamma(x: number): number {
  const coefficients = [
    676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const shifted = x - 1;
  const t = shifted + 7.5;
  const sum = coefficients.reduce(
    (total, coefficient, i) => total + coefficient / (shifted + i + 1),
    0.99999999999980993,
  );
  return 0.5 * Math.log(2 * Math.PI) + (shifted + 0.5) * Math.log(t) - t + Math.log(sum);
}
