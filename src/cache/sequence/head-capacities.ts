/** How many pairs each kv head may hold, from the settings alone. */
import { type CacheShape, globalLayers, windowOf } from "../../kernels/pages/cache-shape.ts";
import { type CacheSettings, capacityOf, UNLIMITED } from "../budget.ts";
import { policyOf } from "../policies/index.ts";

/** Slots per head that the budget does not govern: its layer's window, or no end. 0 if the budget governs it. */
const fixedCapacity = (shape: CacheShape, layer: number, { wholeLayers }: CacheSettings): number =>
  windowOf(shape, layer) || (layer < wholeLayers ? UNLIMITED : 0);

/** The layers that the budget governs: neither with a window nor kept whole. */
export const compressedLayers = (shape: CacheShape, { wholeLayers }: CacheSettings): number[] =>
  globalLayers(shape).filter((layer) => layer >= wholeLayers);

/**
 * Whether heads have budgets of their own once `tokens` have been seen: as long as all fits, each keeps everything. Not
 * beside layers with windows: the few heads that a budget governs there do better with equal shares (Gemma 3 270M, src/eval/RESULTS.md).
 */
export function headsDiffer(shape: CacheShape, settings: CacheSettings, tokens: number): boolean {
  if (!policyOf(settings.policy).headBudgets || tokens <= capacityOf(settings)) return false;
  const windows = globalLayers(shape).length < shape.layers;
  return !windows && compressedLayers(shape, settings).length > 0;
}

/** [L][G]: `budgets` are the heads' own, where they differ and calibration measured any; else all are alike. */
export const headCapacities = (
  shape: CacheShape,
  settings: CacheSettings,
  budgets?: readonly (readonly number[])[],
): number[][] =>
  Array.from({ length: shape.layers }, (_, layer) => {
    const fixed = fixedCapacity(shape, layer, settings);
    return Array.from(
      { length: shape.kvHeads },
      (_, g) => fixed || (budgets?.[layer]?.[g] ?? capacityOf(settings)),
    );
  });

/** The cache that a budget is divided for. */
export interface HeadBudgetRequest {
  /** Mean pairs per head. */
  readonly budget: number;
  /** Pairs that every head must have: more than are protected. */
  readonly least: number;
  /** [L]: whether the budget governs a layer. */
  readonly governed: readonly boolean[];
}

/** Divides a budget among heads [L][G]. */
export type HeadBudgets = (request: HeadBudgetRequest) => number[][];

/** Of a cache: its shape, and how a budget is divided where calibration knows what each head loses. */
export interface DividedShape {
  readonly shape: CacheShape;
  readonly headBudgets?: HeadBudgets | undefined;
}

/** [L][G] once `tokens` have been seen. */
export function capacitiesAfter(
  { shape, headBudgets }: DividedShape,
  settings: CacheSettings,
  tokens: number,
): number[][] {
  const { budget, window, sinks } = settings;
  if (budget === "full" || !headsDiffer(shape, settings, tokens))
    return headCapacities(shape, settings);
  const compressed = compressedLayers(shape, settings);
  const governed = Array.from({ length: shape.layers }, (_, layer) => compressed.includes(layer));
  const own = headBudgets?.({ budget, least: window + sinks + 1, governed });
  return headCapacities(shape, settings, own);
}
