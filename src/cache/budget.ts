import { assume, invalidArgument } from "../errors.ts";
import type { KvStorage } from "../kernels/pages/page-format.ts";
import { isPolicy, type PolicyName, policyOf } from "./policies/index.ts";

/** The settings of a cache that a user may name; the others have defaults. */
export interface CacheRequest {
  budget?: number | "full";
  /** Most bytes of a chat's cache, in place of `budget`: see `decideSettings`. */
  bytes?: number;
  policy?: PolicyName;
  window?: number;
  sinks?: number;
  /** How many of the first layers are not compressed at all. */
  wholeLayers?: number;
  /** How pages hold keys and values: of an engine, once and for all. */
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
}

export const DEFAULTS = {
  budget: 512,
  policy: "winnow",
  window: 64,
  sinks: 4,
  wholeLayers: 0,
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
export function withChange(asked: CacheRequest, change: CacheRequest): CacheRequest {
  const given = Object.fromEntries(
    Object.entries(change).filter(([, value]) => value !== undefined),
  ) as CacheRequest;
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
  request: CacheRequest,
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
  const asked = request.budget ?? DEFAULTS.budget;
  if (asked === "full" || !evicts) {
    if (asked !== "full") count("budget", asked);
    return {
      budget: "full",
      policy,
      window: count("window", request.window ?? usual),
      sinks,
      wholeLayers,
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
  return { budget, policy, window, sinks, wholeLayers };
}

/** Slots a kv head of a compressed layer may hold. */
export const capacityOf = (settings: CacheSettings): number =>
  settings.budget === "full" ? UNLIMITED : settings.budget;

/** Whether a chat goes on past the trained length: where something has no budget, every token keeps a position of its own. */
export const endless = ({ budget, wholeLayers }: CacheSettings): boolean =>
  budget !== "full" && wholeLayers === 0;
