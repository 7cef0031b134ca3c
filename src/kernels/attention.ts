import combine from "../../shaders/attention_combine.wgsl?raw";
import decode from "../../shaders/attention_decode.wgsl?raw";
import prefill from "../../shaders/attention_prefill.wgsl?raw";
import paging from "../../shaders/lib/paging.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import { type Kernel, wgslConstants } from "../gpu/kernel.ts";
import { type CacheShape, PAGE_SLOTS } from "./cache-shape.ts";
import { unroll } from "./unroll.ts";

/** Most workgroups that share the keys of one kv head while decoding. */
export const MAX_SPLITS = 32;
/** Slots a decode workgroup takes at a time. */
const DECODE_TILE = 64;
/** Workgroup memory of the portable core. */
const WORKGROUP_BYTES = 16384;

/** Splits that give every workgroup at least one tile of `slots` keys. */
export const decodeSplits = (slots: number): number =>
  Math.max(1, Math.min(MAX_SPLITS, Math.ceil(slots / DECODE_TILE)));

const constants = (shape: CacheShape): Record<string, number> => ({
  HEAD_DIM: shape.headDim,
  PAGE_SLOTS,
  GROUP: shape.heads / shape.kvHeads,
});

/** Bindings: LayerShape, rows, qkv, pages, tables, partials [M, H, MAX_SPLITS, D + 2]. Workgroups: (splits, G, M). */
export function createAttentionDecode(gpu: GpuContext, shape: CacheShape): Promise<Kernel> {
  const group = shape.heads / shape.kvHeads;
  // Two octets a thread save half of the exchange, where the registers suffice.
  const octets = group <= 4 && shape.headDim % 16 === 0 ? 2 : 1;
  const parts = Math.floor(64 / (shape.headDim / (8 * octets)));
  const keys = Math.min(4, Math.ceil(DECODE_TILE / parts));
  return gpu.kernel({
    label: "attention_decode",
    code: [
      wgslConstants({ ...constants(shape), MAX_SPLITS, OCTETS: octets, KEYS: keys }),
      paging,
      unroll(decode, { j: 4, o: octets, h: group, n: keys }),
    ],
    bindings: ["uniform", "read", "read", "read", "read", "write"],
  });
}

/** Bindings: batch, partials, out [M, H, D]. Workgroups: (H, M). */
export function createAttentionCombine(gpu: GpuContext, shape: CacheShape): Promise<Kernel> {
  return gpu.kernel({
    label: "attention_combine",
    code: [wgslConstants({ HEAD_DIM: shape.headDim, MAX_SPLITS }), combine],
    bindings: ["uniform", "read", "write"],
  });
}

/** Bindings: LayerShape, batch, rows, qkv, pages, chunk, tables, out [M, H, D]. */
export function createAttentionPrefill(gpu: GpuContext, shape: CacheShape): Promise<Kernel> {
  const tile = Math.min(16, Math.floor(WORKGROUP_BYTES / (2 * 4 * shape.headDim)));
  return gpu.kernel({
    label: "attention_prefill",
    code: [wgslConstants({ ...constants(shape), TILE: tile }), paging, prefill],
    bindings: ["uniform", "uniform", "read", "read", "read", "read", "read", "write"],
  });
}

/** Workgroups of attention_prefill for `rows` rows. */
export const prefillWorkgroups = (shape: CacheShape, rows: number): [number, number] => [
  Math.ceil((rows * shape.heads) / shape.kvHeads / 64),
  shape.kvHeads,
];
