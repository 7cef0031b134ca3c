/** A cache bound in bytes: what settings take at most, and the settings that keep to so many bytes. */
import { assume, invalidArgument } from "../errors.ts";
import { type CacheShape, pagesFor, pageWords, windowOf } from "../kernels/pages/cache-shape.ts";
import { remainderBytes } from "../kernels/pages/page-format.ts";
import {
  type CacheSettings,
  checkSettings,
  endless,
  possibleSettings,
  resolveCacheSettings,
} from "./budget.ts";
import { type CacheOptions, LEAST, MOST } from "./cache-options.ts";
import { policyOf } from "./policies/index.ts";
import { capacitiesAfter, type DividedShape } from "./sequence/head-capacities.ts";
import { mostStateBytes } from "./state-bytes.ts";

/** Bytes of one kv head: its pages, the used part of its page-table row, and what it has dropped, in sum. */
export const headBytes = (shape: CacheShape, pages: number, remembers: boolean): number =>
  pages * pageWords(shape) * 4 + (pages + 2) * 4 + (remembers ? remainderBytes(shape) : 0);

/** Most bytes that a chat's cache takes under these settings; "full" where it grows with the chat. */
export function mostBytes(basis: DividedShape, settings: CacheSettings): number | "full" {
  if (!endless(settings)) return "full";
  // As long as all fits heads are alike; then each has a budget of its own.
  const [alike, divided] = [0, MOST + 1].map((tokens) => {
    const { shape } = basis;
    const { remembers = false } = policyOf(settings.policy);
    const heads = capacitiesAfter(basis, settings, tokens).flatMap((capacities, layer) =>
      capacities.map((capacity) =>
        headBytes(shape, pagesFor(capacity), remembers && windowOf(shape, layer) === 0),
      ),
    );
    return heads.reduce((sum, bytes) => sum + bytes, 0);
  });
  return Math.max(alike!, divided!) + mostStateBytes(basis.shape);
}

/**
 * The settings of a request, whose bound may be in bytes: then the most pairs per head with which the cache never takes
 * more. Throws invalid_argument where these bytes hold too few, and what `resolveCacheSettings` throws.
 */
export function decideSettings(basis: DividedShape, request: CacheOptions): CacheSettings {
  const { bytes, ...rest } = request;
  const { layers } = basis.shape;
  if (bytes === undefined) return resolveCacheSettings(rest, layers);
  checkSettings(request);
  const bounded = rest.policy !== "full" && !rest.wholeLayers && Number.isSafeInteger(bytes);
  assume(bounded, () => `cache.bytes is ${String(bytes)} where nothing bounds the cache`);
  /** Undefined where so few pairs are no budget. */
  const settingsOf = (budget: number): CacheSettings | undefined =>
    possibleSettings({ ...rest, budget }, layers);
  const bytesOf = (settings: CacheSettings): number => mostBytes(basis, settings) as number;
  let [fits, above] = [LEAST.budget - 1, MOST + 1];
  while (above - fits > 1) {
    const budget = Math.floor((fits + above) / 2);
    const settings = settingsOf(budget);
    if (settings === undefined || bytesOf(settings) <= bytes) fits = budget;
    else above = budget;
  }
  const settings = settingsOf(fits);
  if (settings) return settings;
  // Throws what is wrong with all of them.
  const least = bytesOf(resolveCacheSettings({ ...rest, budget: Math.min(above, MOST) }, layers));
  throw invalidArgument(
    "cache.bytes",
    `${bytes} bytes hold fewer than the ${above} pairs per head that sinks and window need`,
    `Use ${least} bytes or more.`,
  );
}
