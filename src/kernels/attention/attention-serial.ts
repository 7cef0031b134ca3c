/** Attention for CPU adapters, where an invocation is a lane of SIMD: each works on its own (lib/attend.wgsl). */
import combineSerial from "../../../shaders/attention/attention_combine_serial.wgsl";
import decodeSerial from "../../../shaders/attention/attention_decode_serial.wgsl";
import prefillSerial from "../../../shaders/attention/attention_prefill_serial.wgsl";
import attend from "../../../shaders/attention/lib/attend.wgsl";
import withRemainder from "../../../shaders/attention/lib/attend_remainder.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type Wgsl, wgslConstants } from "../../gpu/kernel.ts";
import { ofSource, pageCode, pagedConstants } from "../pages/page-code.ts";
import { chunkFormat, type PageFormat } from "../pages/page-format.ts";
import { ALONE, type Sharing, sharingOf } from "../quads.ts";
import { unroll } from "../unroll.ts";
import { MAX_SPLITS, PREFILL_QUERIES, type PrefillOver } from "./attention-tiling.ts";

/** Invocations of a decode workgroup, each with partial sums of its own: the width of SIMD in SwiftShader. */
const LANES = 4;

/** Most queries of a serial invocation, 1, 2 or 4: more take many seconds to compile on SwiftShader. */
const serialQueries = (headDim: number): number => (headDim <= 64 ? 4 : headDim <= 128 ? 2 : 1);

/** A serial kernel with lib/attend for the pages in each binding of `sources`. */
function serialCode(
  code: Wgsl,
  sources: Readonly<Record<string, PageFormat>>,
  tile: { headDim: number; queries: number; keys: number },
  constants: Record<string, number>,
  { share, header, code: quad }: Sharing = ALONE,
): string[] {
  const cached = "pages" in sources;
  const counts = {
    j: 4,
    g: tile.headDim / 8 / share,
    r: share,
    h: tile.queries,
    n: tile.keys,
    cached: Number(cached),
  };
  const [types, attention] = attend.at(-1)!.split("//: source\n") as [string, string];
  return [
    header,
    pagedConstants(tile, { ...constants, QUERIES: tile.queries, KEYS: tile.keys }),
    ...quad,
    ...unroll(types, counts),
    ...Object.entries(sources).flatMap(([source, format]) => [
      ...pageCode(source, format, "read units"),
      ...unroll(ofSource(attention, source), counts),
    ]),
    ...(cached ? unroll(withRemainder, counts) : []),
    ...unroll(code, counts),
  ];
}

/** attention_decode for GROUP query heads per kv head. */
export function decodeSerially(format: PageFormat, group: number): string[] {
  const { headDim } = format;
  const passes = Math.ceil(group / serialQueries(headDim));
  const tile = { headDim, queries: Math.ceil(group / passes), keys: headDim <= 64 ? 2 : 1 };
  const constants = { MAX_SPLITS, GROUP: group, LANES, PASSES: passes, WINDOW: 0 };
  return serialCode(decodeSerial, { pages: format }, tile, constants);
}

/** attention_combine of what `decodeSerially` leaves. */
export const combineSerially = (headDim: number): string[] => [
  wgslConstants({ HEAD_DIM: headDim, MAX_SPLITS, LANES }),
  ...combineSerial,
];

/** attention_prefill, with its constants GROUP and WINDOW. */
export function prefillSerially(
  gpu: GpuContext,
  format: PageFormat,
  constants: Record<string, number>,
  over: PrefillOver,
): string[] {
  const { headDim } = format;
  const sharing = sharingOf(gpu);
  const empty = over === "empty";
  const queries = Math.max(1, serialQueries(headDim) / (empty ? 2 : 1));
  const keys = headDim <= 64 && !empty ? 2 : 1;
  const chunk = chunkFormat(format);
  return serialCode(
    prefillSerial,
    empty ? { chunk } : { pages: format, chunk },
    { headDim, queries, keys },
    { ...constants, LANES: PREFILL_QUERIES.serial / queries },
    headDim % (8 * sharing.share) === 0 ? sharing : ALONE,
  );
}
