import type { CacheOptions } from "../../src/api/types.ts";

/** What can be asked of a cache while its engine lives. */
export type CacheSettings = Required<Omit<CacheOptions, "kv">>;

/** The engine's own. */
export const DEFAULT_SETTINGS: CacheSettings = {
  budget: 512,
  policy: "winnow",
  window: 24,
  sinks: 4,
  wholeLayers: 0,
};
