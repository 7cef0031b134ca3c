import type { CacheShape } from "../kernels/pages/cache-shape.ts";
import type { Calibration, HeadStatistics } from "./filters-file.ts";
import { nameOf, type PolicyName, policyOf } from "./policies/index.ts";
import type { HeadKnowledge, Need } from "./policies/policy.ts";

/** What a calibration says of each head, [L][G]. `frequencies` [L][D/2]: radians per token of each rotary pair. */
export function headKnowledge(
  calibration: Calibration | undefined,
  { layers, kvHeads, headDim }: CacheShape,
  frequencies: readonly Float64Array[],
): HeadKnowledge[][] {
  const part = (values: Float32Array | undefined, index: number): Float32Array | undefined => {
    const size = values ? values.length / (layers * kvHeads) : 0;
    return values?.subarray(index * size, (index + 1) * size);
  };
  const statistics: HeadStatistics = calibration?.statistics ?? {};
  return Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: kvHeads }, (_, g) => {
      const index = layer * kvHeads + g;
      const queryMeans = part(statistics.queryMean, index);
      const queryAbs = part(statistics.queryAbs, index);
      return {
        headDim,
        frequencies: frequencies[layer]!,
        filter: part(calibration?.filters.values, index),
        queryMeans,
        queryMean: queryMeans && Float32Array.from(groupMean(queryMeans, headDim)),
        queryAbs,
        unexplained: queryMeans && queryAbs && unexplained(queryMeans, queryAbs),
        queryCovariance: part(statistics.queryCovariance, index),
        ageFit: part(statistics.ageFit, index),
        scoreFit: part(statistics.scoreFit, index),
      };
    }),
  );
}

/** Mean of `vectors` [r, D] over r. */
export function groupMean(vectors: ArrayLike<number>, dim: number): Float64Array {
  const count = vectors.length / dim;
  return Float64Array.from({ length: dim }, (_, i) => {
    let sum = 0;
    for (let at = i; at < vectors.length; at += dim) sum += vectors[at]!;
    return sum / count;
  });
}

/** The part of the mean lengths `abs` [D/2] of rotary pairs that the mean queries [r, D] do not explain. */
export function unexplained(means: ArrayLike<number>, abs: ArrayLike<number>): Float32Array {
  const half = abs.length;
  const count = means.length / (2 * half);
  return Float32Array.from({ length: half }, (_, j) => {
    let explained = 0;
    for (let at = j; at < means.length; at += 2 * half)
      explained += Math.hypot(means[at]!, means[at + half]!);
    return abs[j]! - explained / count;
  });
}

const isKnown = (need: Need, calibration: Calibration | undefined): boolean =>
  need === "filters" ? calibration !== undefined : calibration?.statistics[need] !== undefined;

/** The needs of a policy that a calibration lacks. */
export const missingNeeds = (name: PolicyName, calibration: Calibration | undefined): Need[] =>
  policyOf(name).needs.filter((need) => !isKnown(need, calibration));

/** The policy itself, or what stands in for it where the calibration lacks what it needs. */
export function possiblePolicy(name: PolicyName, calibration: Calibration | undefined): PolicyName {
  const { fallback } = policyOf(name);
  if (fallback === undefined || missingNeeds(name, calibration).length === 0) return name;
  return possiblePolicy(nameOf(fallback), calibration);
}
