import {
  type Calibration,
  readCalibration,
  spreadLayers,
  validateFilters,
} from "../cache/filters-file.ts";
import { headBudgetsOf } from "../cache/sequence/head-budgets.ts";
import type { HeadBudgets } from "../cache/sequence/head-capacities.ts";
import { globalLayers } from "../kernels/pages/cache-shape.ts";
import type { ModelConfig } from "../model/config.ts";

/** A calibration, and how it divides budgets where it measured what heads lose. */
export interface LoadedCalibration extends Calibration {
  readonly headBudgets?: HeadBudgets;
}

/**
 * The calibration of every layer [L, G, ...] from a file that has it for every layer, or only for those
 * that the cache budget governs; layers with a sliding window evict by age and get zeros. Throws
 * bad_filters where the file is damaged or was not made for this model.
 */
export function loadCalibration(
  bytes: Uint8Array,
  config: ModelConfig,
  modelSha256?: string,
): LoadedCalibration {
  const { layers, kvHeads, headDim } = config;
  const file = readCalibration(bytes);
  const global = globalLayers(config);
  const partial = file.filters.layers === global.length;
  validateFilters(file.filters, {
    layers: partial ? global.length : layers,
    kvHeads,
    headDim,
    ...(modelSha256 ? { modelSha256 } : {}),
  });
  const whole = partial && global.length < layers ? spreadLayers(file, global, layers) : file;
  const { headLoss } = whole.statistics;
  return headLoss ? { ...whole, headBudgets: headBudgetsOf(headLoss, kvHeads) } : whole;
}
