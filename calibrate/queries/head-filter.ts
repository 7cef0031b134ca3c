import { leadingEigenvector } from "./eigen.ts";
import { gramMatrix, type Rows } from "./gram.ts";

export interface HeadFilter {
  /** [D], unit length, pointing against the queries: the published sign, so that score = -(k . f). */
  readonly filter: Float64Array;
  /** The direction's part of the queries' summed squares, in (0, 1]. */
  readonly share: number;
}

/**
 * The filter of one query head (Q-Filters, arXiv 2503.02812; sign as in github NathanGodey/qfilters):
 * the first right singular vector v of the uncentred queries, turned so that more than half of them
 * have a positive projection on it, then negated.
 */
export function headFilter(queries: Rows, dim: number): HeadFilter {
  const { vector, share } = leadingEigenvector(gramMatrix(queries, dim), dim);
  let positive = 0;
  for (let n = 0; n < queries.count; n++) {
    const at = queries.offset + n * queries.stride;
    let projection = 0;
    for (let i = 0; i < dim; i++) projection += queries.data[at + i]! * vector[i]!;
    if (projection > 0) positive++;
  }
  const sign = positive > queries.count / 2 ? 1 : -1;
  return { filter: vector.map((x) => -sign * x), share };
}

export interface LayerFilters {
  /** [G, D]: the mean over a kv head's query group, not renormalised, as the reference has it. */
  readonly filters: Float32Array;
  /** [G]: the mean share of the group. */
  readonly explained: number[];
}

/** Filters of one layer from `count` sampled rows [count, H, D]. */
export function layerFilters(
  rows: Float32Array,
  count: number,
  shape: { heads: number; kvHeads: number; headDim: number },
): LayerFilters {
  const { heads, kvHeads, headDim } = shape;
  const group = heads / kvHeads;
  const filters = new Float32Array(kvHeads * headDim);
  const explained: number[] = [];
  for (let g = 0; g < kvHeads; g++) {
    const mean = new Float64Array(headDim);
    let share = 0;
    for (let head = g * group; head < (g + 1) * group; head++) {
      const queries = { data: rows, count, offset: head * headDim, stride: heads * headDim };
      const one = headFilter(queries, headDim);
      share += one.share / group;
      for (let i = 0; i < headDim; i++) mean[i]! += one.filter[i]! / group;
    }
    filters.set(mean, g * headDim);
    explained.push(share);
  }
  return { filters, explained };
}
