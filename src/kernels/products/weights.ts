/** Weight matrices on the GPU: streams of a layout, in parts that each fit one binding. */
import { invalidArgument, throwIfAborted, WinnowError } from "../../errors.ts";
import { isQuantized } from "../../formats/ggml/decode-blocks.ts";
import { type GgmlType, tensorByteLength } from "../../formats/ggml/ggml-types.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { createRepacker } from "./repack.ts";
import { BLOCK, commonLayout, layoutOfType, type WeightLayout } from "./weight-layouts.ts";

/** A tensor in its file: W [rows, cols], row-major, blocks along cols. */
export interface TensorSource {
  /** For messages. */
  readonly name: string;
  readonly type: GgmlType;
  readonly rows: number;
  readonly cols: number;
  /** Bytes [offset, offset + length) of the tensor's data. */
  read(offset: number, length: number): Promise<Uint8Array> | Uint8Array;
  /**
   * Row of the tensor that becomes row `row` of the matrix; default the same. Should stay within a
   * few hundred rows (a head, say): each chunk reads all rows between the least and the greatest.
   */
  readonly rowOrder?: (row: number) => number;
}

/** Rows [firstRow, firstRow + rows) of a matrix, in one layout. */
export interface WeightPart {
  readonly layout: WeightLayout;
  readonly firstRow: number;
  readonly rows: number;
  /** One buffer a stream, in the layout's order. */
  readonly buffers: readonly GPUBuffer[];
}

/** A part's buffers under the names of their WGSL variables. */
export const streamsOf = ({ layout, buffers }: WeightPart): Record<string, GPUBuffer> =>
  Object.fromEntries(layout.streams.map(({ name }, i) => [name, buffers[i]!]));

/** W [rows, cols] = [N, K] of y = x W^T. */
export interface WeightMatrix {
  readonly label: string;
  readonly rows: number;
  readonly cols: number;
  /** Rows of two sources alternate (gate 0, up 0, gate 1, ...); else the sources are stacked. */
  readonly interleaved: boolean;
  readonly parts: readonly WeightPart[];
  /** Bytes on the GPU. */
  readonly bytes: number;
}

export interface UploadOptions {
  /** Default: the device's maxStorageBufferBindingSize. */
  readonly maxBindingBytes?: number;
  /** Half scales as f32 (see layoutOfType). Default: on CPU adapters. */
  readonly wideScales?: boolean;
  /** Bytes of streams repacked at a time. Default 4 MiB. */
  readonly chunkBytes?: number;
  /** Called with the tensor bytes read since the last call. */
  readonly onBytes?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** A run of matrix rows that share a layout: its sources, stacked or interleaved. */
interface Section {
  readonly layout: WeightLayout;
  readonly sources: readonly TensorSource[];
  readonly interleaved: boolean;
  readonly firstRow: number;
  readonly rows: number;
}

/** A matrix whose buffers are there, and what puts the weights into them. */
export interface PlacedMatrix {
  readonly matrix: WeightMatrix;
  /** Once; after an error the buffers are still there. */
  fill(): Promise<void>;
}

/**
 * Makes a matrix's buffers: all that kernels need to be compiled for it and bound. `fill` repacks the tensors and
 * writes them in pieces, so that host memory stays at a few chunks.
 *
 * "stack" puts the rows of the sources one after the other (Q, K, V of one product). "interleave"
 * takes rows of two sources in turns (gate 0, up 0, gate 1, ...) for the swiglu epilogue; where no
 * layout holds both types exactly the result is stacked and `interleaved` is false (Linear then
 * uses two dispatches).
 * @throws WinnowError invalid_argument for shapes that do not match, unsupported_model for a width
 *   the kernels do not take, out_of_memory; `fill` aborted, and what the sources throw.
 */
export async function placeMatrix(
  gpu: GpuContext,
  label: string,
  sources: readonly TensorSource[],
  arrangement: "stack" | "interleave" = "stack",
  options: UploadOptions = {},
): Promise<PlacedMatrix> {
  checkSources(label, sources, arrangement);
  const wide = options.wideScales ?? gpu.kind === "cpu";
  const layouts = sources.map(({ type }) => layoutOfType(type, wide));
  const shared = arrangement === "interleave" ? commonLayout(layouts[0]!, layouts[1]!) : undefined;
  const sections = shared ? [section(shared, sources, 0, true)] : stackSections(layouts, sources);
  const cols = sources[0]!.cols;
  const limit = options.maxBindingBytes ?? gpu.device.limits.maxStorageBufferBindingSize;
  const parts: WeightPart[] = [];
  const fills: (() => Promise<void>)[] = [];
  try {
    for (const each of sections)
      for (const range of partRanges(each, cols, limit)) {
        const buffers = await createStreams(gpu, label, each.layout, range.rows, cols);
        const firstRow = each.firstRow + range.first;
        const part = { layout: each.layout, firstRow, rows: range.rows, buffers };
        parts.push(part);
        fills.push(() => fillPart(gpu, each, range.first, part, cols, options));
      }
  } catch (error) {
    destroyMatrix(gpu, { parts });
    throw error;
  }
  const matrix: WeightMatrix = {
    label,
    rows: sources.reduce((sum, { rows }) => sum + rows, 0),
    cols,
    interleaved: shared !== undefined,
    parts,
    bytes: parts.reduce(
      (sum, part) => sum + part.buffers.reduce((all, { size }) => all + size, 0),
      0,
    ),
  };
  return {
    matrix,
    async fill() {
      for (const fillNext of fills) await fillNext();
    },
  };
}

/** Places a matrix and fills it: nothing is left of it after an error. Throws as both do. */
export async function uploadMatrix(
  ...matrixOf: Parameters<typeof placeMatrix>
): Promise<WeightMatrix> {
  const { matrix, fill } = await placeMatrix(...matrixOf);
  try {
    await fill();
  } catch (error) {
    destroyMatrix(matrixOf[0], matrix);
    throw error;
  }
  return matrix;
}

/** Frees the matrix's buffers. */
export function destroyMatrix(gpu: GpuContext, matrix: Pick<WeightMatrix, "parts">): void {
  for (const part of matrix.parts) for (const buffer of part.buffers) gpu.ledger.destroy(buffer);
}

function checkSources(
  label: string,
  sources: readonly TensorSource[],
  arrangement: "stack" | "interleave",
): void {
  const [first, second] = sources;
  if (!first) throw invalidArgument("sources", `${label} has none`);
  for (const { name, type, rows, cols } of sources) {
    if (cols !== first.cols)
      throw invalidArgument("sources", `${name} is ${cols} wide, ${first.name} ${first.cols}`);
    if (cols % (isQuantized(type) ? BLOCK : 4) !== 0 || cols === 0)
      throw new WinnowError("unsupported_model", `${name}: rows of ${cols} ${type} weights`, {
        hint: "Row widths must be a multiple of 4, of 32 for quantised types.",
        details: { tensor: name, cols, type },
      });
    if (rows < 1) throw invalidArgument("sources", `${name} has no rows`);
  }
  if (arrangement === "interleave" && (sources.length !== 2 || first.rows !== second?.rows))
    throw invalidArgument("sources", `${label}: interleaving takes two tensors of the same height`);
}

const section = (
  layout: WeightLayout,
  sources: readonly TensorSource[],
  firstRow: number,
  interleaved = false,
): Section => {
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  return { layout, sources, firstRow, rows, interleaved };
};

/** Stacked sources: neighbours of one layout share a section. */
function stackSections(
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
function partRanges(each: Section, cols: number, limit: number) {
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

async function createStreams(
  gpu: GpuContext,
  label: string,
  layout: WeightLayout,
  rows: number,
  cols: number,
): Promise<GPUBuffer[]> {
  const blocks = rows * Math.ceil(cols / BLOCK);
  gpu.device.pushErrorScope("out-of-memory");
  const buffers = layout.streams.map(({ name, words }) =>
    gpu.ledger.storage("weights", `${label} ${name}`, blocks * words * 4),
  );
  const error = await gpu.device.popErrorScope();
  if (!error) return buffers;
  for (const buffer of buffers) gpu.ledger.destroy(buffer);
  throw new WinnowError("out_of_memory", `no GPU memory for ${label}: ${error.message}`, {
    hint: "Use a smaller model or a smaller cache budget, or close other pages that use the GPU.",
    details: { label, rows, cols },
  });
}

/** Repacks and writes section rows [first, first + part.rows) chunk by chunk. */
async function fillPart(
  gpu: GpuContext,
  each: Section,
  first: number,
  part: WeightPart,
  cols: number,
  options: UploadOptions,
): Promise<void> {
  const { streams } = each.layout;
  const blocks = Math.ceil(cols / BLOCK);
  const rowBytes = streams.reduce((sum, { words }) => sum + words, 0) * 4 * blocks;
  const chunkRows = Math.max(1, Math.floor((options.chunkBytes ?? 4 << 20) / rowBytes));
  const size = Math.min(chunkRows, part.rows);
  const words = streams.map((stream) => new Uint32Array(size * blocks * stream.words));
  for (let done = 0; done < part.rows; done += chunkRows) {
    throwIfAborted(options.signal);
    const rows = Math.min(chunkRows, part.rows - done);
    const read = await repackSectionRows(each, first + done, rows, cols, words);
    streams.forEach((stream, i) => {
      const at = blocks * stream.words;
      gpu.write(part.buffers[i]!, words[i]!.subarray(0, rows * at), done * at * 4);
    });
    options.onBytes?.(read);
  }
}

/** Repacks section rows [first, first + rows) to the start of `words`; the bytes they had in the file. */
async function repackSectionRows(
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
    const { type, name, rows: height } = each.sources[i]!;
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
    const repack = createRepacker(each.layout, type, cols);
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
