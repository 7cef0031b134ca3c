import { LEAST, MOST, PROTECTED, withChange } from "../../cache/cache-options.ts";
import type { PolicyName } from "../../cache/policies/index.ts";
import { invalidArgument } from "../../errors.ts";
import { isBlob } from "../../formats/blob-source.ts";
import { KV_STORAGES } from "../../kernels/pages/page-format.ts";
import type { CacheOptions, ConversationOptions, SavedChatOptions } from "../types.ts";
import {
  checkBoolean,
  checkNumber,
  checkOneOf,
  checkSignal,
  checkString,
  copyBytes,
  describe,
  isGiven,
  readFields,
} from "./check.ts";

const CACHE_FIELDS = [
  "budget",
  "bytes",
  "policy",
  "window",
  "sinks",
  "wholeLayers",
  "protect",
  "reread",
  "kv",
];

/**
 * Reads cache options, each for itself and beside `current`; what they make together the engine decides, which knows the
 * policies and the model (`checkSettings`). Returns what was given and nothing else, so that an option left out keeps its
 * value (or its default, where it has none).
 */
export function readCacheOptions(value: unknown, current: CacheOptions = {}): CacheOptions {
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
  if (given.bytes !== undefined) {
    if (given.budget !== undefined)
      throw invalidArgument(
        "cache.bytes",
        "stands in place of cache.budget, and both were given",
        "Name one of them.",
      );
    const range = { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true };
    options.bytes = checkNumber("cache.bytes", given.bytes, range);
  }
  if (given.policy !== undefined) {
    options.policy = checkString("cache.policy", given.policy) as PolicyName;
  }
  if (given.window !== undefined) options.window = count("window");
  if (given.sinks !== undefined) options.sinks = count("sinks");
  if (given.wholeLayers !== undefined) options.wholeLayers = count("wholeLayers");
  if (given.protect !== undefined)
    options.protect = checkOneOf("cache.protect", given.protect, PROTECTED);
  if (given.reread !== undefined) options.reread = checkBoolean("cache.reread", given.reread);
  if (given.kv !== undefined) options.kv = checkOneOf("cache.kv", given.kv, KV_STORAGES);
  const { bytes, ...asked } = withChange(current, options);
  if (bytes !== undefined) checkBounded(asked);
  return options;
}

/** Throws invalid_argument where a cache would grow past a bound in bytes. */
function checkBounded({ policy, wholeLayers = 0 }: CacheOptions): void {
  const hint = "Leave cache.bytes out, or name cache.budget in its place.";
  if (policy === "full")
    throw invalidArgument("cache.bytes", 'the policy "full" keeps every pair', hint);
  if (wholeLayers > 0)
    throw invalidArgument("cache.bytes", "layers that are kept whole grow with the chat", hint);
}

export function checkSavedChatOptions(value: unknown): SavedChatOptions {
  if (!isGiven(value)) return {};
  const { signal, ...given } = readFields("options", value, ["conversation", "signal"]);
  const options = checkConversationOptions(given);
  return signal === undefined
    ? options
    : { ...options, signal: checkSignal("options.signal", signal) };
}

/** A saved chat: bytes become a Blob, which crosses to the worker. */
export function checkSavedChat(value: unknown): Blob | string {
  if (isBlob(value)) return value;
  const bytes = copyBytes(value);
  if (bytes) return new Blob([bytes]);
  if (typeof value === "string" && value !== "") return value;
  throw invalidArgument(
    "source",
    `must be a Blob, a URL or bytes, not ${describe(value)}`,
    "Pass what cache.save gave, or the address of such a file.",
  );
}

export function checkConversationOptions(value: unknown): ConversationOptions {
  if (!isGiven(value)) return {};
  const given = readFields("options", value, ["conversation"]);
  if (given.conversation === undefined) return {};
  return { conversation: checkString("options.conversation", given.conversation) };
}
