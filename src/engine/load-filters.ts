import { readFilters, validateFilters } from "../cache/filters-file.ts";
import { globalLayers } from "../kernels/cache-shape.ts";
import type { ModelConfig } from "../model/config.ts";

/**
 * Filters [L, G, D] from a file that has them for every layer, or only for those that the cache budget
 * governs; layers with a sliding window evict by age and get zeros. Throws bad_filters.
 */
export function loadFilters(
  bytes: Uint8Array,
  config: ModelConfig,
  modelSha256?: string,
): Float32Array {
  const { layers, kvHeads, headDim } = config;
  const file = readFilters(bytes);
  const global = globalLayers(config);
  const partial = file.layers === global.length;
  validateFilters(file, {
    layers: partial ? global.length : layers,
    kvHeads,
    headDim,
    ...(modelSha256 ? { modelSha256 } : {}),
  });
  if (!partial) return file.values;
  const size = kvHeads * headDim;
  const filters = new Float32Array(layers * size);
  global.forEach((layer, i) => {
    filters.set(file.values.subarray(i * size, (i + 1) * size), layer * size);
  });
  return filters;
}
