/** Weights of a prompt's scores' parts; see shaders/scoring/score_parts.wgsl. */
export interface PartWeights {
  readonly importance: number;
  /** Weight of the novelty of the key before RoPE. */
  readonly novelty: number;
  readonly keySpread: number;
  readonly valueSpread: number;
  /** Weight of the logarithm of observed attention. */
  readonly observed: number;
}

/**
 * What is known of a kv head to score with, as it lies in a buffer: COEFFICIENTS numbers, then vectors. The
 * order is that of shaders/scoring/lib/score_head.wgsl.
 */
export interface HeadScore {
  /** Times (key . filter). */
  readonly dot?: number;
  /** Times |key|. */
  readonly norm?: number;
  /** Times the position. */
  readonly position?: number;
  /** Times a hash of the position, in [0, 1). */
  readonly random?: number;
  /** Times ln of the sum of exp(key . query) over the expected queries, turned to the newest position. */
  readonly moving?: number;
  /** Times the sum over rotary pairs j of pairWeights[j] |key_j|. */
  readonly pairNorm?: number;
  /** Times k' S k, S the covariance, k the key turned back by the newest position. */
  readonly quadratic?: number;
  /** Times ln |value|. */
  readonly logValue?: number;
  /** Times ln(age + 1), in tokens. */
  readonly logAge?: number;
  /** Times -cos(key, anchor): KeyDiff; a part of importance. */
  readonly novelty?: number;
  /** Weights of the parts of a joined score; other scores have none. */
  readonly weights?: PartWeights;
  /** [D] */
  readonly filter?: ArrayLike<number>;
  /** [queries, D], before RoPE, half-split order. */
  readonly expectedQuery?: ArrayLike<number>;
  /** [D/2] */
  readonly pairWeights?: ArrayLike<number>;
  /** [D, D], before RoPE. */
  readonly covariance?: ArrayLike<number>;
}

const SCALARS = [
  "dot",
  "norm",
  "position",
  "random",
  "moving",
  "pairNorm",
  "quadratic",
  "logValue",
  "logAge",
  "novelty",
] as const;
const COEFFICIENTS = 16;

/** The settings that decide how long a head's part is. */
export interface HeadDataShape {
  readonly headDim: number;
  /** Expected queries. Default 1. */
  readonly queries?: number;
  /** With a covariance. */
  readonly quadratic?: boolean;
}

/** f32 of one head. */
export const headStride = ({ headDim, queries = 1, quadratic = false }: HeadDataShape): number =>
  COEFFICIENTS + (1.5 + queries) * headDim + (quadratic ? headDim * headDim : 0);

/** Writes a head's part, `headStride` long. */
export function writeHeadScore(
  score: HeadScore,
  { headDim, queries = 1 }: HeadDataShape,
  out: Float32Array,
): void {
  SCALARS.forEach((name, i) => {
    out[i] = score[name] ?? 0;
  });
  if (score.weights) {
    const { importance, novelty, keySpread, valueSpread, observed } = score.weights;
    out.set([observed, 0, importance, novelty, keySpread, valueSpread], SCALARS.length);
  }
  let at = COEFFICIENTS;
  const vector = (values: ArrayLike<number> | undefined, length: number): void => {
    if (values) out.set(values, at);
    at += length;
  };
  vector(score.filter, headDim);
  vector(score.expectedQuery, queries * headDim);
  vector(score.pairWeights, headDim / 2);
  vector(score.covariance, headDim * headDim);
}
