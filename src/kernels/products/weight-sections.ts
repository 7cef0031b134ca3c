/** Which rows of which tensors a matrix is made of: runs that share a layout, cut to what one binding takes. */
import { invalidArgument, WinnowError } from "../../errors.ts";
import { type GgmlType, tensorByteLength } from "../../formats/ggml/ggml-types.ts";
import { createRepacker } from "./repack.ts";
import { BLOCK, type WeightLayout } from "./weight-layouts.ts";

/** A tensor in its file: W [rows, cols], row-major, blocks along cols. */
export interface TensorSource {
  /** For messages. */
  readonly name: string;
  readonly type: GgmlType;
  readonly rows: number;
  readonly cols: number;
  /** Rows of the tensor, where `rowOrder` takes some of them. Default `rows`. */
  readonly height?: number;
  /** Bytes [offset, offset + length) of the tensor's data. */
  read(offset: number, length: number): Promise<Uint8Array> | Uint8Array;
  /**
   * Row of the tensor that becomes row `row` of the matrix; default the same. Should stay within a
   * few hundred rows (a head, say): each chunk reads all rows between the least and the greatest.
   */
  readonly rowOrder?: (row: number) => number;
}

/** A run of matrix rows that share a layout: its sources, stacked or interleaved. */
export interface Section {
  readonly layout: WeightLayout;
  readonly sources: readonly TensorSource[];
  readonly interleaved: boolean;
  readonly firstRow: number;
  readonly rows: number;
}

export const section = (
  layout: WeightLayout,
  sources: readonly TensorSource[],
  firstRow: number,
  interleaved = false,
): Section => {
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  return { layout, sources, firstRow, rows, interleaved };
};

/** Stacked sources: neighbours of one layout share a section. */
export function stackSections(
  layouts: readonly WeightLayout[],
  sources: readonly TensorSource[],
): Section[] {
  const sections: Section[] = [];
  let row = 0;
  for (let i = 0; i < sources.length; ) {
    let end = i + 1;
    while (end < sources.length && layouts[end] === layouts[i]) end += 1;
    sections.push(section(layouts[i]!, sources.slice(i, end), row));
    row += sections.at(-1)!.rows;
    i = end;
  }
  return sections;
}

/** Rows of a section cut so that no stream exceeds `limit` bytes; cuts fall on multiples of 16 rows. */
export function partRanges(each: Section, cols: number, limit: number) {
  const blocks = Math.ceil(cols / BLOCK);
  const widest = Math.max(...each.layout.streams.map(({ words }) => words)) * 4 * blocks;
  const most = Math.floor(limit / widest / 16) * 16;
  if (most === 0)
    throw new WinnowError(
      "adapter_too_weak",
      `16 rows of ${cols} weights exceed a binding of ${limit} bytes`,
    );
  const ranges: { first: number; rows: number }[] = [];
  for (let first = 0; first < each.rows; first += most)
    ranges.push({ first, rows: Math.min(most, each.rows - first) });
  return ranges;
}

/** Repacks section rows [first, first + rows) to the start of `words`; the bytes they had in the file. */
export async function repackSectionRows(
  each: Section,
  first: number,
  rows: number,
  cols: number,
  words: readonly Uint32Array[],
): Promise<number> {
  const wanted = each.sources.map((): { from: number; to: number }[] => []);
  for (let i = 0; i < rows; i++) {
    const { source, row } = locate(each, first + i);
    wanted[source]!.push({ from: each.sources[source]!.rowOrder?.(row) ?? row, to: i });
  }
  let bytesUsed = 0;
  for (const [i, list] of wanted.entries()) {
    if (list.length === 0) continue;
    const { type, name, rows: own, height = own } = each.sources[i]!;
    const rowBytes = tensorByteLength(type, [cols]);
    let low = Number.POSITIVE_INFINITY;
    let high = -1;
    for (const { from } of list) {
      if (from < low) low = from;
      if (from > high) high = from;
    }
    if (low < 0 || high >= height)
      throw invalidArgument("rowOrder", `${name} has no row ${low < 0 ? low : high}`);
    const bytes = await each.sources[i]!.read(low * rowBytes, (high + 1 - low) * rowBytes);
    const repack = await createRepacker(each.layout, type, cols);
    for (const { from, to } of list) repack(bytes, from - low, words, to);
    bytesUsed += list.length * rowBytes;
  }
  return bytesUsed;
}

/** Which source, and which of its rows, a section row is. */
function locate(each: Section, row: number): { source: number; row: number } {
  if (each.interleaved) return { source: row % 2, row: row >> 1 };
  let source = 0;
  while (row >= each.sources[source]!.rows) row -= each.sources[source++]!.rows;
  return { source, row };
}
