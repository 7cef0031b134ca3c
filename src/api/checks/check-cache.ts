import { checkSettings } from "../../cache/budget.ts";
import { type CacheOptions, withChange } from "../../cache/cache-options.ts";
import { readCacheOptions } from "./validate-cache.ts";

/** Reads cache options, and checks what they make together with `current`: see `readCacheOptions`. */
export function checkCacheOptions(value: unknown, current: CacheOptions = {}): CacheOptions {
  const options = readCacheOptions(value, current);
  checkSettings(withChange(current, options));
  return options;
}
