/** Attention for GPUs: invocations of a workgroup share what they load. */
import combine from "../../../shaders/attention/attention_combine.wgsl";
import decode from "../../../shaders/attention/attention_decode.wgsl";
import prefill from "../../../shaders/attention/attention_prefill.wgsl";
import { wgslConstants } from "../../gpu/kernel.ts";
import { pageCode, pagedConstants } from "../pages/page-code.ts";
import { chunkFormat, type PageFormat } from "../pages/page-format.ts";
import { unroll } from "../unroll.ts";
import { DECODE_TILE, MAX_SPLITS, PREFILL_QUERIES } from "./attention-tiling.ts";

/** attention_decode for `group` query heads per kv head. */
export function decodeTiles(format: PageFormat, group: number): string[] {
  const { headDim } = format;
  // Two octets a thread save half of the exchange between threads, where registers suffice.
  const octets = group <= 4 && headDim % 16 === 0 ? 2 : 1;
  const parts = Math.floor(64 / (headDim / (8 * octets)));
  const keys = Math.min(4, Math.ceil(DECODE_TILE / parts));
  return [
    pagedConstants(format, { MAX_SPLITS, GROUP: group, OCTETS: octets, KEYS: keys }),
    ...pageCode("pages", format, "read units"),
    ...unroll(decode, { j: 4, o: octets, h: group, n: keys }),
  ];
}

/** attention_combine of what `decodeTiles` leaves. */
export const combineTiles = (headDim: number): string[] => [
  wgslConstants({ HEAD_DIM: headDim, MAX_SPLITS }),
  ...unroll(combine, { n: 8 }),
];

/** attention_prefill, with its constants GROUP and WINDOW. */
export function prefillTiles(format: PageFormat, constants: Record<string, number>): string[] {
  const queries = PREFILL_QUERIES.tiles;
  const columns = format.headDim / 8;
  // More than 64 keys at a time would not fit in workgroup memory.
  const workgroup = Math.min(256, 64 * columns);
  return [
    pagedConstants(format, { ...constants, WORKGROUP: workgroup, QUERIES: queries }),
    ...pageCode("pages", format, "read units"),
    ...pageCode("chunk", chunkFormat(format), "read units"),
    ...unroll(prefill, { h: queries, s: Math.ceil(queries / columns), j: 4 }),
  ];
}
