/** Weight matrices on the GPU: streams of a layout, in parts that each fit one binding. */
import { invalidArgument, throwIfAborted, WinnowError } from "../../errors.ts";
import { isQuantized } from "../../formats/ggml/ggml-types.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { BLOCK, commonLayout, layoutOfType, type WeightLayout } from "./weight-layouts.ts";
import {
  partRanges,
  repackSectionRows,
  type Section,
  section,
  stackSections,
  type TensorSource,
} from "./weight-sections.ts";

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
