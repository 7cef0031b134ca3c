import type { GpuContext } from "../gpu/context.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { onGpus, onProcessors } from "./by-adapter.ts";
import type { CacheShape } from "./cache-shape.ts";

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

const attentionVariant = (gpu: GpuContext): AttentionVariant =>
  gpu.kind === "cpu" ? "serial" : "tiles";

/** Splits that give every workgroup at least one tile of `slots` keys. */
export const decodeSplits = (slots: number): number =>
  Math.max(1, Math.min(MAX_SPLITS, Math.ceil(slots / DECODE_TILE)));

/** Bindings: LayerShape, rows, qkv, pages, tables, partials [M, H, MAX_SPLITS, D + 2]. Workgroups: (splits, G, M). */
export async function createAttentionDecode(
  gpu: GpuContext,
  shape: CacheShape,
  variant = attentionVariant(gpu),
): Promise<Kernel> {
  const group = shape.heads / shape.kvHeads;
  return gpu.kernel({
    label: `attention_decode ${variant}`,
    code:
      variant === "tiles"
        ? (await onGpus()).decodeTiles(shape, group)
        : (await onProcessors()).decodeSerially(shape, group),
    bindings: ["uniform", "read", "read", "read", "read", "write"],
    stage: "answer",
  });
}

/** Bindings: batch, partials, out [M, H, D]. Workgroups: (H, M). */
export async function createAttentionCombine(
  gpu: GpuContext,
  shape: CacheShape,
  variant = attentionVariant(gpu),
): Promise<Kernel> {
  const { headDim } = shape;
  return gpu.kernel({
    label: `attention_combine ${variant}`,
    code:
      variant === "tiles"
        ? (await onGpus()).combineTiles(headDim)
        : (await onProcessors()).combineSerially(headDim),
    bindings: ["uniform", "read", "write"],
    stage: "answer",
  });
}

/**
 * What rows attend to, for CPU adapters, where compiling takes long: an empty cache, which a first token waits for, or
 * any. For GPUs both are one kernel.
 */
export type PrefillOver = "empty" | "any";

/**
 * `window`: 0, or the tokens a row sees, itself included; the cache is then a ring of as many slots.
 * Bindings: LayerShape, batch, rows, qkv, pages, chunk, tables, out [M, H, D], and ln of the sum of exp(logit) of each row
 * and head [M, H].
 */
export async function createAttentionPrefill(
  gpu: GpuContext,
  shape: CacheShape,
  variant = attentionVariant(gpu),
  window = 0,
  over: PrefillOver = "any",
): Promise<Kernel> {
  const constants = { GROUP: shape.heads / shape.kvHeads, WINDOW: window };
  return gpu.kernel({
    label: `attention_prefill ${variant}${window > 0 ? ` window ${window}` : ""}`,
    code:
      variant === "tiles"
        ? (await onGpus()).prefillTiles(shape, constants)
        : (await onProcessors()).prefillSerially(gpu, shape, constants, over),
    bindings: ["uniform", "uniform", "read", "read", "read", "read", "read", "write", "write"],
    stage: variant === "tiles" ? "prompt" : STAGES[over],
  });
}

const STAGES = { empty: "prompt", any: "turn" } as const;

/** Workgroups of attention_prefill for `rows` rows. */
export const prefillWorkgroups = (
  gpu: GpuContext,
  shape: CacheShape,
  rows: number,
  variant = attentionVariant(gpu),
): [number, number] => [
  Math.ceil((rows * shape.heads) / shape.kvHeads / PREFILL_QUERIES[variant]),
  shape.kvHeads,
];
