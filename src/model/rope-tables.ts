import { inverseFrequencies, ropeTable } from "../kernels/rope-table.ts";
import type { ModelConfig } from "./config.ts";

type RopeConfig = Pick<
  ModelConfig,
  "headDim" | "contextLength" | "ropeBase" | "ropeDivisor" | "localRopeBase" | "windows"
>;

/** Tables of the global layers and, where there are any, of the layers with a sliding window. */
export function ropeTables(config: RopeConfig, factors?: Float32Array): Float32Array[] {
  const { headDim, contextLength, ropeBase, ropeDivisor, localRopeBase, windows } = config;
  const global = inverseFrequencies(headDim, ropeBase, factors).map((f) => f / ropeDivisor);
  const tables = [ropeTable(global, contextLength)];
  if (windows.some((window) => window > 0))
    tables.push(ropeTable(inverseFrequencies(headDim, localRopeBase), contextLength));
  return tables;
}
