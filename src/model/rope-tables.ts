import { inverseFrequencies, ropeTable } from "../kernels/rope-table.ts";
import type { ModelConfig } from "./config.ts";

type RopeConfig = Pick<
  ModelConfig,
  | "architecture"
  | "headDim"
  | "contextLength"
  | "ropeBase"
  | "ropeDivisor"
  | "localRopeBase"
  | "windows"
>;

type RopeKind = "global" | "local" | "none";

/** Radians a position that each rotary pair [D/2] of the global layers turns by. */
export const globalFrequencies = (config: RopeConfig, factors?: Float32Array): Float64Array =>
  inverseFrequencies(config.headDim, config.ropeBase, factors).map((f) => f / config.ropeDivisor);

/** [L]: layers with a sliding window have a RoPE of their own, some families' layers none. */
export const ropeKinds = ({ architecture, windows }: RopeConfig): RopeKind[] =>
  windows.map((window, layer) => {
    const { ropelessEvery } = architecture;
    if (ropelessEvery !== undefined && (layer + 1) % ropelessEvery === 0) return "none";
    return window > 0 ? "local" : "global";
  });

/** A table for each kind of layer that the model has; the one for "none" turns nothing. */
export function ropeTables(
  config: RopeConfig,
  factors?: Float32Array,
): ReadonlyMap<RopeKind, Float32Array> {
  const { headDim, contextLength, localRopeBase } = config;
  const frequencies: Record<RopeKind, () => Float64Array> = {
    global: () => globalFrequencies(config, factors),
    local: () => inverseFrequencies(headDim, localRopeBase),
    none: () => new Float64Array(headDim / 2),
  };
  const kinds = new Set(ropeKinds(config));
  return new Map([...kinds].map((kind) => [kind, ropeTable(frequencies[kind](), contextLength)]));
}
