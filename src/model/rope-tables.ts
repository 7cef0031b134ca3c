import { inverseFrequencies, ropeTable } from "../kernels/rope-table.ts";
import type { ModelConfig } from "./config.ts";

type RopeConfig = Pick<
  ModelConfig,
  "headDim" | "contextLength" | "ropeBase" | "ropeDivisor" | "localRopeBase" | "windows"
>;

/** Radians a position that each rotary pair [D/2] of the global layers turns by. */
export const globalFrequencies = (config: RopeConfig, factors?: Float32Array): Float64Array =>
  inverseFrequencies(config.headDim, config.ropeBase, factors).map((f) => f / config.ropeDivisor);

/** Tables of the global layers and, where there are any, of the layers with a sliding window. */
export function ropeTables(config: RopeConfig, factors?: Float32Array): Float32Array[] {
  const { headDim, contextLength, localRopeBase, windows } = config;
  const tables = [ropeTable(globalFrequencies(config, factors), contextLength)];
  if (windows.some((window) => window > 0))
    tables.push(ropeTable(inverseFrequencies(headDim, localRopeBase), contextLength));
  return tables;
}
