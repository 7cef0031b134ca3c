import { groupMean } from "../../src/cache/head-knowledge.ts";
import type { SourceShape } from "../source/query-source.ts";

/** Statistics of one kv head's queries before RoPE turns them. */
export interface QueryStatistics {
  /** [r, D]: of each query head of the group. */
  readonly means: Float64Array;
  /** [D/2]: mean length of each rotary pair, over the group. */
  readonly abs: Float64Array;
  /** [D, D], about the group's mean, divided by the number of queries; undefined where it was not asked for. */
  readonly covariance: Float64Array | undefined;
}

/** Sampled post-RoPE queries of one layer. */
export interface SampledQueries {
  /** [count, H, D] */
  readonly rows: Float32Array;
  /** [count] */
  readonly positions: Uint32Array;
  readonly count: number;
}

/**
 * A query before RoPE: dimensions i and i + D/2 of `rows` at `at` turned back by the angle of
 * `position`. Written to `out` [D].
 */
export function turnBack(
  rows: Float32Array,
  at: number,
  position: number,
  frequencies: ArrayLike<number>,
  out: Float64Array,
): void {
  const half = out.length / 2;
  for (let i = 0; i < half; i++) {
    const angle = position * frequencies[i]!;
    const cos = Math.cos(angle);
    const sin = Math.sin(angle);
    const x = rows[at + i]!;
    const y = rows[at + half + i]!;
    out[i] = x * cos + y * sin;
    out[half + i] = y * cos - x * sin;
  }
}

/**
 * Statistics of the pre-RoPE queries of kv head `kvHead`, over its query group and the samples: the means
 * and the covariance of Expected Attention (arXiv 2510.00636), the means and the mean lengths of TriAttention
 * (arXiv 2604.04921).
 */
export function queryStatistics(
  { rows, positions, count }: SampledQueries,
  kvHead: number,
  { heads, kvHeads, headDim }: SourceShape,
  frequencies: ArrayLike<number>,
  withCovariance: boolean,
): QueryStatistics {
  const group = heads / kvHeads;
  const total = count * group;
  const half = headDim / 2;
  const means = new Float64Array(group * headDim);
  const abs = new Float64Array(half);
  const covariance = withCovariance ? new Float64Array(headDim * headDim) : undefined;
  const query = new Float64Array(headDim);
  for (let n = 0; n < count; n++) {
    for (let h = 0; h < group; h++) {
      const at = (n * heads + kvHead * group + h) * headDim;
      turnBack(rows, at, positions[n]!, frequencies, query);
      for (let i = 0; i < headDim; i++) means[h * headDim + i]! += query[i]! / count;
      for (let i = 0; i < half; i++) abs[i]! += Math.hypot(query[i]!, query[half + i]!) / total;
      if (!covariance) continue;
      for (let i = 0; i < headDim; i++) {
        const scaled = query[i]! / total;
        for (let j = i; j < headDim; j++) covariance[i * headDim + j]! += scaled * query[j]!;
      }
    }
  }
  if (covariance) {
    const mean = groupMean(means, headDim);
    for (let i = 0; i < headDim; i++)
      for (let j = i; j < headDim; j++) {
        const value = covariance[i * headDim + j]! - mean[i]! * mean[j]!;
        covariance[i * headDim + j] = value;
        covariance[j * headDim + i] = value;
      }
  }
  return { means, abs, covariance };
}
