import combine from "../../shaders/attention_combine.wgsl?raw";
import decode from "../../shaders/attention_decode.wgsl?raw";
import prefill from "../../shaders/attention_prefill.wgsl?raw";
import { loadLater } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import { type Kernel, wgslConstants } from "../gpu/kernel.ts";
import type { CacheShape } from "./cache-shape.ts";
import { pageCode, pagedCode } from "./page-code.ts";
import { chunkFormat, type PageFormat } from "./page-format.ts";
import { sharingOf } from "./quads.ts";
import { remainderCode } from "./remainder.ts";
import { unroll } from "./unroll.ts";

/** Most workgroups that share the keys of one kv head while decoding. */
export const MAX_SPLITS = 32;
/**
 * Splits where several lanes decode at once: fixed, since how keys are split decides the order in which a
 * lane's sums are taken, and that must not depend on the lanes beside it.
 */
export const LANE_SPLITS = 8;
/** Slots a decode workgroup takes at a time. */
const DECODE_TILE = 64;
/** (row, query head) pairs of a kv head that a prefill workgroup takes. */
export const PREFILL_QUERIES = { tiles: 8, serial: 64 } as const;

/** `tiles`: GPUs, invocations share loads. `serial`: CPU adapters, each invocation on its own. Same bindings. */
export type AttentionVariant = "tiles" | "serial";

const attentionVariant = (gpu: GpuContext): AttentionVariant =>
  gpu.kind === "cpu" ? "serial" : "tiles";

/** Loaded on CPU adapters alone. */
const serialAttention = () =>
  loadLater("attention on processors", () => import("./attention-serial.ts"));

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
        ? decodeTiles(shape, group)
        : (await serialAttention()).decodeSerially(shape, group),
    bindings: ["uniform", "read", "read", "read", "read", "write"],
    stage: "answer",
  });
}

function decodeTiles(format: PageFormat, group: number): string[] {
  const { headDim } = format;
  // Two octets a thread save half of the exchange between threads, where registers suffice.
  const octets = group <= 4 && headDim % 16 === 0 ? 2 : 1;
  const parts = Math.floor(64 / (headDim / (8 * octets)));
  const keys = Math.min(4, Math.ceil(DECODE_TILE / parts));
  return [
    pagedCode(format, { MAX_SPLITS, GROUP: group, OCTETS: octets, KEYS: keys }),
    pageCode("pages", format, "read units"),
    remainderCode,
    unroll(decode, { j: 4, o: octets, h: group, n: keys }),
  ];
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
        ? [wgslConstants({ HEAD_DIM: headDim, MAX_SPLITS }), unroll(combine, { n: 8 })]
        : (await serialAttention()).combineSerially(headDim),
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
        ? prefillTiles(shape, constants)
        : (await serialAttention()).prefillSerially(shape, constants, over, sharingOf(gpu)),
    bindings: ["uniform", "uniform", "read", "read", "read", "read", "read", "write", "write"],
    stage: variant === "tiles" ? "prompt" : STAGES[over],
  });
}

const STAGES = { empty: "prompt", any: "turn" } as const;

function prefillTiles(format: PageFormat, constants: Record<string, number>): string[] {
  const queries = PREFILL_QUERIES.tiles;
  const columns = format.headDim / 8;
  // More than 64 keys at a time would not fit in workgroup memory.
  const workgroup = Math.min(256, 64 * columns);
  return [
    pagedCode(format, { ...constants, WORKGROUP: workgroup, QUERIES: queries }),
    pageCode("pages", format, "read units"),
    pageCode("chunk", chunkFormat(format), "read units"),
    remainderCode,
    unroll(prefill, { h: queries, s: Math.ceil(queries / columns), j: 4 }),
  ];
}

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
