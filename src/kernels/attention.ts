import combine from "../../shaders/attention_combine.wgsl?raw";
import decode from "../../shaders/attention_decode.wgsl?raw";
import decodeSerial from "../../shaders/attention_decode_serial.wgsl?raw";
import prefill from "../../shaders/attention_prefill.wgsl?raw";
import prefillSerial from "../../shaders/attention_prefill_serial.wgsl?raw";
import attend from "../../shaders/lib/attend.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import { type Kernel, wgslConstants } from "../gpu/kernel.ts";
import { isCpuAdapter } from "./adapter-kind.ts";
import type { CacheShape } from "./cache-shape.ts";
import { ofSource, pageCode, pagedCode } from "./page-code.ts";
import { chunkFormat, type PageFormat } from "./page-format.ts";
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
const PREFILL_TILE = 64;
/** Invocations of a serial decode workgroup: the width of SIMD in SwiftShader. */
const LANES = 4;

/**
 * `tiles`: GPUs, invocations share loads. `serial`: CPU adapters, each invocation on its own. Same
 * bindings, same workgroups.
 */
export type AttentionVariant = "tiles" | "serial";

const attentionVariant = (gpu: GpuContext): AttentionVariant =>
  isCpuAdapter(gpu.adapter.info) ? "serial" : "tiles";

/** Splits that give every workgroup at least one tile of `slots` keys. */
export const decodeSplits = (slots: number): number =>
  Math.max(1, Math.min(MAX_SPLITS, Math.ceil(slots / DECODE_TILE)));

/** Bindings: LayerShape, rows, qkv, pages, tables, partials [M, H, MAX_SPLITS, D + 2]. Workgroups: (splits, G, M). */
export function createAttentionDecode(
  gpu: GpuContext,
  shape: CacheShape,
  variant = attentionVariant(gpu),
): Promise<Kernel> {
  const group = shape.heads / shape.kvHeads;
  return gpu.kernel({
    label: `attention_decode ${variant}`,
    code: variant === "tiles" ? decodeTiles(shape, group) : decodeSerially(shape, group),
    bindings: ["uniform", "read", "read", "read", "read", "write"],
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
    unroll(decode, { j: 4, o: octets, h: group, n: keys }),
  ];
}

/** Most queries of a serial invocation, 1, 2 or 4: more take many seconds to compile on SwiftShader. */
const serialQueries = (headDim: number): number => (headDim <= 64 ? 4 : headDim <= 128 ? 2 : 1);

/** A serial kernel with lib/attend for the pages in each binding of `sources`. */
function serialCode(
  code: string,
  sources: Readonly<Record<string, PageFormat>>,
  tile: { headDim: number; queries: number; keys: number },
  constants: Record<string, number>,
): string[] {
  const counts = { j: 4, o: tile.headDim / 8, h: tile.queries, n: tile.keys };
  const [types, attention] = attend.split("//: source\n") as [string, string];
  return [
    pagedCode(tile, { ...constants, QUERIES: tile.queries, KEYS: tile.keys }),
    types,
    ...Object.entries(sources).flatMap(([source, format]) => [
      pageCode(source, format, "read units"),
      unroll(ofSource(attention, source), counts),
    ]),
    unroll(code, counts),
  ];
}

function decodeSerially(format: PageFormat, group: number): string[] {
  const { headDim } = format;
  const passes = Math.ceil(group / serialQueries(headDim));
  const tile = { headDim, queries: Math.ceil(group / passes), keys: headDim <= 64 ? 2 : 1 };
  const constants = { MAX_SPLITS, GROUP: group, LANES, PASSES: passes, WINDOW: 0 };
  return serialCode(decodeSerial, { pages: format }, tile, constants);
}

function prefillSerially(format: PageFormat, constants: Record<string, number>): string[] {
  const { headDim } = format;
  const queries = serialQueries(headDim);
  return serialCode(
    prefillSerial,
    { pages: format, chunk: chunkFormat(format) },
    { headDim, queries, keys: 1 },
    { ...constants, LANES: PREFILL_TILE / queries },
  );
}

/** Bindings: batch, partials, out [M, H, D]. Workgroups: (H, M). */
export function createAttentionCombine(
  gpu: GpuContext,
  shape: CacheShape,
  variant = attentionVariant(gpu),
): Promise<Kernel> {
  const lanes = variant === "serial" ? LANES : 1;
  return gpu.kernel({
    label: `attention_combine ${variant}`,
    code: [wgslConstants({ HEAD_DIM: shape.headDim, MAX_SPLITS, LANES: lanes }), combine],
    bindings: ["uniform", "read", "write"],
  });
}

/**
 * `window`: 0, or the tokens a row sees, itself included; the cache is then a ring of as many slots.
 * Bindings: LayerShape, batch, rows, qkv, pages, chunk, tables, out [M, H, D].
 */
export function createAttentionPrefill(
  gpu: GpuContext,
  shape: CacheShape,
  variant = attentionVariant(gpu),
  window = 0,
): Promise<Kernel> {
  const constants = { GROUP: shape.heads / shape.kvHeads, WINDOW: window };
  return gpu.kernel({
    label: `attention_prefill ${variant}${window > 0 ? ` window ${window}` : ""}`,
    code: variant === "tiles" ? prefillTiles(shape, constants) : prefillSerially(shape, constants),
    bindings: ["uniform", "uniform", "read", "read", "read", "read", "read", "write"],
  });
}

function prefillTiles(format: PageFormat, constants: Record<string, number>): string[] {
  const tile = Math.min(16, Math.floor(16384 / (2 * 4 * format.headDim)));
  return [
    pagedCode(format, { ...constants, TILE: tile }),
    pageCode("pages", format, "read units"),
    pageCode("chunk", chunkFormat(format), "read units"),
    prefill,
  ];
}

/** Workgroups of attention_prefill for `rows` rows. */
export const prefillWorkgroups = (shape: CacheShape, rows: number): [number, number] => [
  Math.ceil((rows * shape.heads) / shape.kvHeads / PREFILL_TILE),
  shape.kvHeads,
];
