/** Whether a full budget would fit the memory limit: asked where settings change, and where pages become wider. */
import type { CacheSettings } from "../../cache/budget.ts";
import type { WinnowError } from "../../errors.ts";
import { type Footprint, misfit } from "../../gpu/memory.ts";
import type { KvStorage } from "../../kernels/pages/page-format.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { DeviceState, DeviceStateInputs } from "../state.ts";
import { blockBytes, modelCacheBytes } from "./footprint.ts";

/** The part of the engine's core that this looks at. */
export interface Held {
  readonly config: ModelConfig;
  readonly storage: KvStorage;
  readonly model: Pick<DeviceStateInputs, "memoryLimit">;
  readonly state: Pick<DeviceState, "gpu">;
}

/** What is allocated beside the cache, and the cache once it is full. */
function footprint(core: Held, storage: KvStorage, settings: CacheSettings): Footprint {
  const { config } = core;
  const { weights, activations, staging } = core.state.gpu.ledger.report();
  const scratch = blockBytes(config, storage) - blockBytes(config, core.storage);
  return {
    weights,
    kv: modelCacheBytes(config, settings, storage),
    activations: activations + staging + scratch,
  };
}

/** Why a full budget would not fit the limit; undefined where it does. One without an end is refused when it meets it. */
export function excess(
  core: Held,
  storage: KvStorage,
  settings: CacheSettings,
): WinnowError | undefined {
  const { budget, wholeLayers } = settings;
  if (budget === "full") return undefined;
  const whole = wholeLayers > 0 ? ` and cache.wholeLayers: ${wholeLayers}` : "";
  return misfit(
    `cache.budget: the engine with ${budget} pairs per head${whole}`,
    footprint(core, storage, settings),
    core.model.memoryLimit,
    `Lower the cache budget${whole && ", or keep fewer layers whole"}.`,
  );
}

/** Throws out_of_memory where a full budget would not fit the limit. */
export function checkBudget(core: Held, settings: CacheSettings): void {
  const error = excess(core, core.storage, settings);
  if (error) throw error;
}
