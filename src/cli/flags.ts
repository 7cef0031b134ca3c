import { checkCacheOptions } from "../api/checks/check-cache.ts";
import type { CacheOptions, KvStorage, PolicyName } from "../api/types.ts";
import { LEAST, PROTECTED, withChange } from "../cache/cache-options.ts";
import { POLICY_NAMES } from "../cache/policies/index.ts";
import { invalidArgument } from "../errors.ts";
import type { FlagValues } from "./command.ts";

/** Reads single flags and checks them; every error names the flag. */

export const CACHE_FLAGS = {
  budget: "string",
  policy: "string",
  window: "string",
  sinks: "string",
  "whole-layers": "string",
  protect: "string",
  reread: "boolean",
  filters: "string",
  kv: "string",
} as const;

export const CACHE_USAGE =
  `[--budget B|full] [--policy ${POLICY_NAMES.join("|")}] [--window W] [--sinks S] [--whole-layers N]` +
  " [--protect system|none] [--reread] [--filters F.safetensors] [--kv f16|q8|f32]";

export function optional(flags: FlagValues, name: string): string | undefined {
  const values = flags[name];
  if (values === undefined) return undefined;
  if (values.length > 1) throw invalidArgument(`--${name}`, "is given more than once");
  return values[0] as string;
}

export function required(flags: FlagValues, name: string): string {
  const value = optional(flags, name);
  if (value === undefined || value === "") throw invalidArgument(`--${name}`, "is required");
  return value;
}

/** Every value of a flag that may be repeated; at least one. */
export function list(flags: FlagValues, name: string): string[] {
  const values = (flags[name] ?? []) as string[];
  if (values.length === 0) throw invalidArgument(`--${name}`, "is required");
  return values;
}

export const isSet = (flags: FlagValues, name: string): boolean => flags[name] !== undefined;

export interface WholeNumber {
  min: number;
  max?: number;
  fallback?: number;
}

export function wholeNumber(
  flags: FlagValues,
  name: string,
  { min, max = 2 ** 32 - 1, fallback }: WholeNumber,
): number {
  const text = fallback === undefined ? required(flags, name) : optional(flags, name);
  if (text === undefined) return fallback as number;
  const value = /^-?\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) {
    throw invalidArgument(`--${name}`, `must be an integer from ${min} to ${max}, not "${text}"`);
  }
  return value;
}

export function decimal(
  flags: FlagValues,
  name: string,
  min: number,
  max: number,
  fallback: number,
): number {
  const text = optional(flags, name);
  if (text === undefined) return fallback;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!(value >= min && value <= max)) {
    throw invalidArgument(`--${name}`, `must be a number from ${min} to ${max}, not "${text}"`);
  }
  return value;
}

export function oneOf<T extends string>(
  flags: FlagValues,
  name: string,
  allowed: readonly T[],
  fallback: T,
): T {
  const text = optional(flags, name);
  if (text === undefined) return fallback;
  if (!(allowed as readonly string[]).includes(text)) {
    throw invalidArgument(`--${name}`, `must be one of ${allowed.join(", ")}, not "${text}"`);
  }
  return text as T;
}

/** A message in the words of the command line: cache.wholeLayers is --whole-layers, and commands do what calls do. */
export const inFlags = (message: string): string =>
  message
    .replace(
      /^cache\.(\w+)/,
      (_, name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    )
    .replace(
      /: calibrate the model to have (\S+)\.$/,
      ": to have $1, make a calibration with `npx winnow-llm calibrate` and name it by --filters.",
    );

/** The cache flags on top of a command's defaults, checked as createEngine checks them. */
export function cacheFlags(flags: FlagValues, defaults: CacheOptions): CacheOptions {
  const given: CacheOptions = {};
  const budget = optional(flags, "budget");
  if (budget === "full") given.budget = "full";
  else if (budget !== undefined) given.budget = wholeNumber(flags, "budget", { min: LEAST.budget });
  const policy = optional(flags, "policy");
  if (policy !== undefined) given.policy = policy as PolicyName;
  if (isSet(flags, "window")) given.window = wholeNumber(flags, "window", { min: LEAST.window });
  if (isSet(flags, "sinks")) given.sinks = wholeNumber(flags, "sinks", { min: LEAST.sinks });
  if (isSet(flags, "whole-layers"))
    given.wholeLayers = wholeNumber(flags, "whole-layers", { min: LEAST.wholeLayers });
  if (isSet(flags, "protect")) given.protect = oneOf(flags, "protect", PROTECTED, "system");
  if (isSet(flags, "reread")) given.reread = true;
  const kv = optional(flags, "kv");
  if (kv !== undefined) given.kv = kv as KvStorage;
  return withChange(defaults, checkCacheOptions(given, defaults));
}
