import { type LayerSequence, normsOf } from "../source/attention-sample.ts";
import type { SourceShape } from "../source/query-source.ts";

/** Length of an all but zero value: its logarithm must stay finite. */
const SMALLEST_NORM = 1e-20;

/** One kv head's calibration, which a score reads besides keys and values. */
export interface ScoredHead {
  /** [r, D], mean queries before RoPE. */
  readonly means: Float32Array;
  /** [D/2] */
  readonly unexplained: Float32Array;
  /** [D], the published sign. */
  readonly filter: Float32Array;
  /** [D/2] */
  readonly frequencies: ArrayLike<number>;
}

/** One kv head's part of a sequence, and what a score reads of it that does not change as time goes on. */
export interface HeadSequence {
  /** [T, D], after RoPE. */
  readonly keys: Float32Array;
  /** [T, D] */
  readonly values: Float32Array;
  /** [T]: |k|, |v| and ln |v|. */
  readonly keyNorm: Float32Array;
  readonly valueNorm: Float32Array;
  readonly logValue: Float32Array;
  /** [T]: k . filter. */
  readonly filterDot: Float32Array;
  /** [T]: sum over rotary pairs of |k_j| unexplained_j, / sqrt(D). */
  readonly pairNorm: Float32Array;
}

export function headSequence(
  { tokens, keys, values }: LayerSequence,
  kvHead: number,
  { kvHeads, headDim }: SourceShape,
  { unexplained, filter }: Pick<ScoredHead, "unexplained" | "filter">,
): HeadSequence {
  const ownKeys = headOf(keys, tokens, kvHead, kvHeads, headDim);
  const ownValues = headOf(values, tokens, kvHead, kvHeads, headDim);
  const valueNorm = normsOf(ownValues, tokens, headDim);
  const filterDot = new Float32Array(tokens);
  const pairNorm = new Float32Array(tokens);
  const half = headDim / 2;
  for (let t = 0, at = 0; t < tokens; t++, at += headDim) {
    let dot = 0;
    let norm = 0;
    for (let i = 0; i < headDim; i++) dot += ownKeys[at + i]! * filter[i]!;
    for (let i = 0; i < half; i++) {
      const x = ownKeys[at + i]!;
      const y = ownKeys[at + half + i]!;
      norm += Math.sqrt(x * x + y * y) * unexplained[i]!;
    }
    filterDot[t] = dot;
    pairNorm[t] = norm / Math.sqrt(headDim);
  }
  return {
    keys: ownKeys,
    values: ownValues,
    keyNorm: normsOf(ownKeys, tokens, headDim),
    valueNorm,
    logValue: valueNorm.map((norm) => Math.log(Math.max(norm, SMALLEST_NORM))),
    filterDot,
    pairNorm,
  };
}

/** One head's vectors [T, D] of [T, G, D]. */
export function headOf(
  vectors: Float32Array,
  tokens: number,
  head: number,
  heads: number,
  dim: number,
): Float32Array {
  const out = new Float32Array(tokens * dim);
  for (let t = 0; t < tokens; t++) {
    const at = (t * heads + head) * dim;
    out.set(vectors.subarray(at, at + dim), t * dim);
  }
  return out;
}
