import type { GpuContext } from "../../gpu/context.ts";
import type { Kernel } from "../../gpu/kernel.ts";
import { onGpus, onProcessors } from "../by-adapter.ts";
import type { CacheShape } from "../pages/cache-shape.ts";
import { type AttentionVariant, PREFILL_QUERIES, type PrefillOver } from "./attention-tiling.ts";

const attentionVariant = (gpu: GpuContext): AttentionVariant =>
  gpu.kind === "cpu" ? "serial" : "tiles";

/** Workgroups: (splits, G, M). */
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
    stage: "answer",
  });
}

/** Workgroups: (H, M). */
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
    stage: "answer",
  });
}

/**
 * `window`: 0, or the tokens a row sees, itself included; the cache is then a ring of as many slots.
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
