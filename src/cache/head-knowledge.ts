import type { CacheShape } from "../kernels/cache-shape.ts";
import type { Calibration, HeadStatistics } from "./filters-file.ts";
import { type PolicyName, policyOf } from "./policies/index.ts";
import type { HeadKnowledge, Need } from "./policies/policy.ts";

/** What a calibration says of each head, [L][G]. `frequencies` [D/2]: radians a token of each rotary pair. */
export function headKnowledge(
  calibration: Calibration | undefined,
  { layers, kvHeads, headDim }: CacheShape,
  frequencies: Float64Array,
): HeadKnowledge[][] {
  const part = (values: Float32Array | undefined, index: number): Float32Array | undefined => {
    const size = values ? values.length / (layers * kvHeads) : 0;
    return values?.subarray(index * size, (index + 1) * size);
  };
  const statistics: HeadStatistics = calibration?.statistics ?? {};
  return Array.from({ length: layers }, (_, layer) =>
    Array.from({ length: kvHeads }, (_, g) => {
      const index = layer * kvHeads + g;
      return {
        headDim,
        frequencies,
        filter: part(calibration?.filters.values, index),
        queryMean: part(statistics.queryMean, index),
        queryAbs: part(statistics.queryAbs, index),
        queryCovariance: part(statistics.queryCovariance, index),
        ageFit: part(statistics.ageFit, index),
      };
    }),
  );
}

const isKnown = (need: Need, calibration: Calibration | undefined): boolean =>
  need === "filters" ? calibration !== undefined : calibration?.statistics[need] !== undefined;

/** What a policy needs that a calibration lacks. */
export const missingNeeds = (name: PolicyName, calibration: Calibration | undefined): Need[] =>
  policyOf(name).needs.filter((need) => !isKnown(need, calibration));

/** The policy itself, or what stands in for it where the calibration lacks what it needs. */
export function possiblePolicy(name: PolicyName, calibration: Calibration | undefined): PolicyName {
  const { fallback } = policyOf(name);
  if (fallback === undefined || missingNeeds(name, calibration).length === 0) return name;
  return possiblePolicy(fallback, calibration);
}
