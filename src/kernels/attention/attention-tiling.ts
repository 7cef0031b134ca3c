/** How the work of attention is divided, on either kind of adapter. */

/** Most workgroups that share the keys of one kv head while decoding. */
export const MAX_SPLITS = 32;
/**
 * Splits where several lanes decode at once: fixed, since how keys are split decides the order in which a
 * lane's sums are taken, and that must not depend on the lanes beside it.
 */
export const LANE_SPLITS = 8;
/** Slots a decode workgroup takes at a time. */
export const DECODE_TILE = 64;
/** (row, query head) pairs of a kv head that a prefill workgroup takes. */
export const PREFILL_QUERIES = { tiles: 8, serial: 64 } as const;

/** `tiles`: GPUs, invocations share loads. `serial`: CPU adapters, each invocation on its own. Same bindings. */
export type AttentionVariant = "tiles" | "serial";

/** Splits that give every workgroup at least one tile of `slots` keys. */
export const decodeSplits = (slots: number): number =>
  Math.max(1, Math.min(MAX_SPLITS, Math.ceil(slots / DECODE_TILE)));

/**
 * What rows attend to, for CPU adapters, where compiling takes long: an empty cache, which a first token waits for, or
 * any. For GPUs both are one kernel.
 */
export type PrefillOver = "empty" | "any";
