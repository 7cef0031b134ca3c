import { assume, asWinnowError, invalidArgument } from "../errors.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import { isPolicy, type PolicyName, policyOf } from "./policies/index.ts";

/** How much of a chat the cache keeps, and what decides it. */
export interface CacheOptions {
  /** Key-value pairs that are kept per kv head, as a mean over heads, or "full". Default 512. */
  budget?: number | "full";
  /**
   * Most bytes that the cache of one conversation takes on the GPU, in place of `budget`: the engine keeps as many pairs
   * per kv head as fit, in whole pages of 32. Not together with `budget`, the policy "full" or `wholeLayers`.
   */
  bytes?: number;
  /**
   * Default "winnow". If the model lacks the calibration that a policy needs, another policy steps in and
   * `info().notices` says so.
   */
  policy?: PolicyName;
  /**
   * Most recent tokens that are never evicted. Default 24 for "winnow", 128 for "lag-kv", 64 for the others; at most
   * half of the budget, and a quarter for "lag-kv".
   */
  window?: number;
  /** First tokens that are never evicted. Default 4. */
  sinks?: number;
  /** How many of the first layers are not compressed: they keep every pair, beside the others' budget. Default 0. */
  wholeLayers?: number;
  /**
   * Whether the system message is never evicted: as far as it fits into a quarter of what the window leaves of a head's
   * budget. Default "system"; "none" treats its tokens as all others.
   */
  protect?: Protected;
  /**
   * Storage of keys and values; it cannot change after the engine is made. Default "f16", and "f32" once the model is
   * seen to make keys or values larger than f16 holds; `info().notices` says so.
   */
  kv?: KvStorage;
}

/** A cache request with every part decided and checked. */
export interface CacheSettings {
  /** Pairs kept a kv head, or "full". */
  readonly budget: number | "full";
  readonly policy: PolicyName;
  /** Most recent tokens never evicted. */
  readonly window: number;
  /** First tokens never evicted. */
  readonly sinks: number;
  /** The first so many layers keep every pair; the budget is that of the others. */
  readonly wholeLayers: number;
  /** What stays beside the sinks and the window. */
  readonly protect: Protected;
}

/** system: the system prompt, as far as it fits into a quarter of what the window leaves of a head's budget. */
export const PROTECTED = ["system", "none"] as const;
export type Protected = (typeof PROTECTED)[number];

export const DEFAULTS = {
  budget: 512,
  policy: "winnow",
  window: 64,
  sinks: 4,
  wholeLayers: 0,
  protect: "system",
} as const;

/** Slots a head may hold when nothing is ever evicted. */
export const UNLIMITED = 0x7fffffff;

/**
 * The least that each setting may be. The window is at least 1: a token attends to itself, so its pair stays until
 * the next one is there.
 */
export const LEAST = { budget: 1, window: 1, sinks: 0, wholeLayers: 0 } as const;
/** The most that each may be: far above any model's positions, and every product of counts stays below 2^53. */
export const MOST = 2 ** 24;

/** Settings that were asked for, after a change: a bound in bytes and one in pairs take each other's place. */
export function withChange(asked: CacheOptions, change: CacheOptions): CacheOptions {
  const given = Object.fromEntries(
    Object.entries(change).filter(([, value]) => value !== undefined),
  ) as CacheOptions;
  const { budget, bytes, ...rest } = asked;
  if (given.budget !== undefined || given.bytes !== undefined) return { ...rest, ...given };
  return { ...asked, ...given };
}

const count = (name: keyof typeof LEAST, value: number): number => {
  const holds = Number.isInteger(value) && value >= LEAST[name] && value <= MOST;
  assume(holds, () => `cache.${name} is ${String(value)}`);
  return value;
};

/**
 * Decides budget, policy, window, sinks and whole layers, of a model with so many `layers` where that is known. Each
 * setting is in its range (`LEAST`, `MOST`), else that is internal: `checkCacheOptions` explains ranges to users. A
 * window that was not asked for shrinks with a small budget; one that was asked for and does not fit is an error, as
 * is window + sinks >= budget.
 */
export function resolveCacheSettings(
  request: CacheOptions,
  layers = Number.POSITIVE_INFINITY,
): CacheSettings {
  const policy = request.policy ?? DEFAULTS.policy;
  assume(request.bytes === undefined, () => "cache.bytes is not decided yet");
  assume(isPolicy(policy), () => `cache.policy is ${String(policy)}`);
  const {
    evicts = true,
    window: usual = DEFAULTS.window,
    windowShare: share = 2,
  } = policyOf(policy);
  const sinks = count("sinks", request.sinks ?? DEFAULTS.sinks);
  const wholeLayers = count("wholeLayers", request.wholeLayers ?? DEFAULTS.wholeLayers);
  if (wholeLayers > layers)
    throw invalidArgument(
      "cache.wholeLayers",
      `must be at most ${layers}, the layers of the model, got ${wholeLayers}`,
    );
  const protect = request.protect ?? DEFAULTS.protect;
  assume(PROTECTED.includes(protect), () => `cache.protect is ${String(protect)}`);
  const asked = request.budget ?? DEFAULTS.budget;
  if (asked === "full" || !evicts) {
    if (asked !== "full") count("budget", asked);
    return {
      budget: "full",
      policy,
      window: count("window", request.window ?? usual),
      sinks,
      wholeLayers,
      protect,
    };
  }
  const budget = count("budget", asked);
  const window = count(
    "window",
    request.window ?? Math.max(LEAST.window, Math.min(usual, Math.floor(budget / share))),
  );
  if (window + sinks >= budget) {
    throw invalidArgument(
      "cache.budget",
      `${budget} pairs leave no room beside a window of ${window} and ${sinks} sinks`,
      `Use a budget above ${window + sinks}, or a smaller window.`,
    );
  }
  return { budget, policy, window, sinks, wholeLayers, protect };
}

/** The same, or undefined where window and sinks leave no room, or there are fewer layers than are to be kept whole. */
export function possibleSettings(
  request: CacheOptions,
  layers?: number,
): CacheSettings | undefined {
  try {
    return resolveCacheSettings(request, layers);
  } catch (error) {
    if (asWinnowError(error).code === "invalid_argument") return undefined;
    throw error;
  }
}

/** Slots a kv head of a compressed layer may hold. */
export const capacityOf = (settings: CacheSettings): number =>
  settings.budget === "full" ? UNLIMITED : settings.budget;

/** Whether a chat goes on past the trained length: where something has no budget, every token keeps a position of its own. */
export const endless = ({ budget, wholeLayers }: CacheSettings): boolean =>
  budget !== "full" && wholeLayers === 0;
