/** What a user may say of a cache, without the policies: all that a page needs to check it. */
import type { KvStorage } from "../kernels/pages/page-format.ts";
import type { PolicyName } from "./policies/index.ts";

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
   * Whether a long prompt is read twice before anything of it is dropped: what the second reading attends to stays, and heads
   * are given budgets that were measured for that. It finds far more of what is asked afterwards, and takes over twice the
   * time. Prompts that fit, and those of up to 128 tokens, are read once. Needs the policy "winnow", no whole layers, and a
   * calibration that has measured second readings: without one `info().notices` says that it is off. Default false.
   */
  reread?: boolean;
  /**
   * Storage of keys and values; it cannot change after the engine is made. Default "f16", and "f32" once the model is
   * seen to make keys or values larger than f16 holds; `info().notices` says so.
   */
  kv?: KvStorage;
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
  reread: false,
} as const;

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
