import { inverseFrequencies, ropeTable } from "../kernels/rope-table.ts";
import type { ModelConfig } from "./config.ts";

type RopeConfig = Pick<
  ModelConfig,
  | "architecture"
  | "headDim"
  | "contextLength"
  | "ropeBase"
  | "ropeDims"
  | "ropeDivisor"
  | "ropeDivisors"
  | "localRopeBase"
  | "localRopeDims"
  | "windows"
>;

type RopeKind = "global" | "local" | "none";

/** [L]: layers with a sliding window may have a RoPE of their own, some families' layers none. */
export const ropeKinds = ({ architecture, windows, localRopeBase }: RopeConfig): RopeKind[] =>
  windows.map((window, layer) => {
    const { ropelessEvery } = architecture;
    if (ropelessEvery !== undefined && (layer + 1) % ropelessEvery === 0) return "none";
    return window > 0 && localRopeBase !== undefined ? "local" : "global";
  });

/** Radians a position that each rotary pair [D/2] turns by, for each kind of layer that the model has. */
function frequenciesByKind(
  config: RopeConfig,
  factors?: Float32Array,
): ReadonlyMap<RopeKind, Float64Array> {
  const { headDim, ropeBase, ropeDims, ropeDivisor, ropeDivisors, localRopeBase, localRopeDims } =
    config;
  // Dimensions that are not turned are the last pairs of a head.
  const turning = (base: number, divisors?: ArrayLike<number>, dims = ropeDims): Float64Array => {
    const frequencies = new Float64Array(headDim / 2);
    frequencies.set(inverseFrequencies(dims, base, divisors));
    return frequencies;
  };
  const frequencies: Record<RopeKind, () => Float64Array> = {
    global: () => turning(ropeBase, ropeDivisors ?? factors).map((f) => f / ropeDivisor),
    local: () => turning(localRopeBase!, undefined, localRopeDims),
    none: () => new Float64Array(headDim / 2),
  };
  return new Map([...new Set(ropeKinds(config))].map((kind) => [kind, frequencies[kind]()]));
}

/** [L][D/2]: radians a position that a layer's rotary pairs turn by; zeros where it has no RoPE. */
export function layerFrequencies(config: RopeConfig, factors?: Float32Array): Float64Array[] {
  const frequencies = frequenciesByKind(config, factors);
  return ropeKinds(config).map((kind) => frequencies.get(kind)!);
}

/** A table for each kind of layer that the model has; the one for "none" turns nothing. */
export function ropeTables(
  config: RopeConfig,
  factors?: Float32Array,
): ReadonlyMap<RopeKind, Float32Array> {
  const table = (frequencies: Float64Array) => ropeTable(frequencies, config.contextLength);
  const kinds = [...frequenciesByKind(config, factors)];
  return new Map(kinds.map(([kind, frequencies]) => [kind, table(frequencies)]));
}
