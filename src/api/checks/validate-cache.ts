import { LEAST, MOST, resolveCacheSettings } from "../../cache/budget.ts";
import { POLICY_NAMES } from "../../cache/policies/index.ts";
import { invalidArgument } from "../../errors.ts";
import { KV_STORAGES } from "../../kernels/pages/page-format.ts";
import type { CacheOptions, ConversationOptions } from "../types.ts";
import { checkNumber, checkOneOf, checkString, describe, isGiven, readFields } from "./check.ts";

const CACHE_FIELDS = ["budget", "policy", "window", "sinks", "wholeLayers", "kv"];

/**
 * Checks cache options, and what they make together with `current`. Returns what was given and
 * nothing else, so that an option left out keeps its value (or its default, where it has none).
 */
export function checkCacheOptions(value: unknown, current: CacheOptions = {}): CacheOptions {
  const given = readFields("cache", value, CACHE_FIELDS);
  const options: CacheOptions = {};
  const count = (name: keyof typeof LEAST): number =>
    checkNumber(`cache.${name}`, given[name], { min: LEAST[name], max: MOST, integer: true });
  if (given.budget === "full") options.budget = "full";
  else if (typeof given.budget === "number") options.budget = count("budget");
  else if (given.budget !== undefined) {
    const problem = `must be an integer of at least 1 or "full", not ${describe(given.budget)}`;
    throw invalidArgument("cache.budget", problem);
  }
  if (given.policy !== undefined) {
    options.policy = checkOneOf("cache.policy", given.policy, POLICY_NAMES);
  }
  if (given.window !== undefined) options.window = count("window");
  if (given.sinks !== undefined) options.sinks = count("sinks");
  if (given.wholeLayers !== undefined) options.wholeLayers = count("wholeLayers");
  if (given.kv !== undefined) options.kv = checkOneOf("cache.kv", given.kv, KV_STORAGES);
  resolveCacheSettings({ ...current, ...options });
  return options;
}

export function checkConversationOptions(value: unknown): ConversationOptions {
  if (!isGiven(value)) return {};
  const given = readFields("options", value, ["conversation"]);
  if (given.conversation === undefined) return {};
  return { conversation: checkString("options.conversation", given.conversation) };
}
