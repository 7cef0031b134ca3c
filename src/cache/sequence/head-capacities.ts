/** How many pairs each kv head may hold, from the settings alone. */
import { type CacheShape, globalLayers, windowOf } from "../../kernels/pages/cache-shape.ts";
import { type CacheSettings, capacityOf, UNLIMITED } from "../budget.ts";
import type { HeadLoss } from "../filters-file.ts";
import { policyOf } from "../policies/index.ts";
import { headBudgets, ofRereads } from "./head-budgets.ts";

/** Slots per head that the budget does not govern: its layer's window, or no end. 0 if the budget governs it. */
const fixedCapacity = (shape: CacheShape, layer: number, { wholeLayers }: CacheSettings): number =>
  windowOf(shape, layer) || (layer < wholeLayers ? UNLIMITED : 0);

/** The layers that the budget governs: neither with a window nor kept whole. */
export const compressedLayers = (shape: CacheShape, { wholeLayers }: CacheSettings): number[] =>
  globalLayers(shape).filter((layer) => layer >= wholeLayers);

/** Whether heads have budgets of their own once `tokens` have been seen: as long as all fits, each keeps everything. */
export function headsDiffer(shape: CacheShape, settings: CacheSettings, tokens: number): boolean {
  if (!policyOf(settings.policy).headBudgets || tokens <= capacityOf(settings)) return false;
  return compressedLayers(shape, settings).length > 0;
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

/** Budgets of each head [L][G] by what it loses; undefined where nothing is ever dropped. */
export function ownBudgets(
  shape: CacheShape,
  settings: CacheSettings,
  loss: HeadLoss,
): number[][] | undefined {
  const { budget, window, sinks, reread } = settings;
  if (budget === "full") return undefined;
  const own = reread ? loss.reread && ofRereads(loss.reread, budget) : loss;
  if (!own) return undefined;
  const compressed = compressedLayers(shape, settings);
  return headBudgets(own, shape.kvHeads, {
    budget,
    least: window + sinks + 1,
    governed: Array.from({ length: shape.layers }, (_, layer) => compressed.includes(layer)),
  });
}

/** [L][G] once `tokens` have been seen. `headLoss`: what each head loses, where calibration measured it. */
export function capacitiesAfter(
  { shape, headLoss }: { readonly shape: CacheShape; readonly headLoss?: HeadLoss | undefined },
  settings: CacheSettings,
  tokens: number,
): number[][] {
  const differ = headsDiffer(shape, settings, tokens);
  const own = differ && headLoss ? ownBudgets(shape, settings, headLoss) : undefined;
  return headCapacities(shape, settings, own);
}
