import { resolveCacheSettings } from "../../cache/budget.ts";
import { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { throwIfAborted } from "../../errors.ts";
import { globalLayers } from "../../kernels/pages/cache-shape.ts";
import { CHUNK_ROWS } from "../../model/buffers.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { DeviceState } from "../state.ts";
import { tokenRows } from "../steps/token-rows.ts";

/** What the heads of one layer made of some consecutive tokens, D in half-split order. */
export interface CapturedHeads {
  /** Counts only the layers that the cache budget governs. */
  readonly layer: number;
  readonly rows: number;
  /** Position of the first row. */
  readonly start: number;
  /** [rows, H, D], after QK-norm and RoPE. */
  readonly queries: Float32Array;
  /** [rows, G, D], after QK-norm and RoPE. */
  readonly keys: Float32Array;
  /** [rows, G, D] */
  readonly values: Float32Array;
  /** [rows]: lengths of the residual stream that enters the layer. */
  readonly residual: Float32Array;
}

/**
 * Runs `tokens` with nothing evicted, and yields chunk by chunk what each layer that the budget governs
 * made of them: what calibration needs. Throws aborted, out_of_memory.
 */
export async function* captureHeads(
  { gpu, pool, runner }: DeviceState,
  config: ModelConfig,
  tokens: readonly number[],
  signal?: AbortSignal,
): AsyncGenerator<CapturedHeads> {
  const { heads, kvHeads, headDim, layers, hidden } = config;
  const width = (heads + 2 * kvHeads) * headDim;
  const each = hidden + width;
  const sequence = new KvSequence(pool, resolveCacheSettings({ policy: "full" }));
  const capture = gpu.ledger.storage("staging", "capture", layers * CHUNK_ROWS * each * 4);
  const governed = globalLayers(config);
  const { frequencies } = runner.transformer.parts;
  try {
    const gains = await Promise.all(
      governed.map(async (layer) => {
        const both = runner.transformer.parts.layers[layer]!.qkNorm;
        if (!both || !config.architecture.qkNorm) return undefined;
        return new Float32Array(await gpu.read(both)).slice(headDim);
      }),
    );
    for (let start = 0; start < tokens.length; start += CHUNK_ROWS) {
      throwIfAborted(signal);
      const chunk = tokens.slice(start, start + CHUNK_ROWS);
      const rows = chunk.length;
      await tokenRows(runner, chunk);
      const { hidden: entering, qkv: projection } = runner.transformer.buffers;
      runner.submitChunk(sequence, chunk, (encoder, layer, projected) => {
        const [from, before, floats] = projected
          ? [projection, hidden, width]
          : [entering, 0, hidden];
        const at = rows * (layer * each + before) * 4;
        encoder.copyBufferToBuffer(from, 0, capture, at, rows * floats * 4);
      });
      const captured = new Float32Array(await gpu.read(capture, 0, layers * rows * each * 4));
      for (const [index, layer] of governed.entries()) {
        const entering = captured.subarray(
          layer * rows * each,
          layer * rows * each + rows * hidden,
        );
        const qkv = captured.subarray(
          layer * rows * each + rows * hidden,
          (layer + 1) * rows * each,
        );
        const keys = columns(qkv, rows, width, heads * headDim, kvHeads * headDim);
        // The kernel turns queries where they lie; turned keys go to the cache alone.
        const gain = gains[index];
        if (gain) normalise(keys, headDim, gain, config.normEpsilon);
        turn(keys, rows, kvHeads, headDim, anglesOf(start, rows, frequencies[layer]!));
        yield {
          layer: index,
          rows,
          start,
          queries: columns(qkv, rows, width, 0, heads * headDim),
          keys,
          values: columns(qkv, rows, width, (heads + kvHeads) * headDim, kvHeads * headDim),
          residual: lengths(entering, rows),
        };
      }
    }
  } finally {
    sequence.free();
    gpu.ledger.destroy(capture);
  }
}

/** Columns [first, first + count) of a matrix [rows, width]. */
function columns(
  matrix: Float32Array,
  rows: number,
  width: number,
  first: number,
  count: number,
): Float32Array {
  const out = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) {
    const at = row * width + first;
    out.set(matrix.subarray(at, at + count), row * count);
  }
  return out;
}

/** Lengths of the rows of a matrix [rows, E]. */
function lengths(matrix: Float32Array, rows: number): Float32Array {
  const width = matrix.length / rows;
  return Float32Array.from({ length: rows }, (_, row) => {
    let squares = 0;
    for (let i = row * width; i < (row + 1) * width; i++) squares += matrix[i]! * matrix[i]!;
    return Math.sqrt(squares);
  });
}

/** RMSNorm of each head [D] in place. */
function normalise(x: Float32Array, headDim: number, gain: Float32Array, epsilon: number): void {
  for (let at = 0; at < x.length; at += headDim) {
    let squares = 0;
    for (let i = 0; i < headDim; i++) squares += x[at + i]! ** 2;
    const scale = 1 / Math.sqrt(squares / headDim + epsilon);
    for (let i = 0; i < headDim; i++) x[at + i]! *= scale * gain[i]!;
  }
}

/** cos and sin [rows, D/2] of positions start, start + 1... */
function anglesOf(start: number, rows: number, frequencies: Float64Array) {
  const half = frequencies.length;
  const cos = new Float64Array(rows * half);
  const sin = new Float64Array(rows * half);
  for (let n = 0; n < rows * half; n++) {
    const angle = (start + Math.floor(n / half)) * frequencies[n % half]!;
    cos[n] = Math.cos(angle);
    sin[n] = Math.sin(angle);
  }
  return { cos, sin };
}

/** RoPE of each head of x [rows, heads, D] in place, half-split. */
function turn(
  x: Float32Array,
  rows: number,
  heads: number,
  headDim: number,
  { cos, sin }: ReturnType<typeof anglesOf>,
): void {
  const half = headDim / 2;
  for (let row = 0; row < rows; row++)
    for (let head = 0; head < heads; head++) {
      const at = (row * heads + head) * headDim;
      for (let i = 0; i < half; i++) {
        const c = cos[row * half + i]!;
        const s = sin[row * half + i]!;
        const a = x[at + i]!;
        const b = x[at + half + i]!;
        x[at + i] = a * c - b * s;
        x[at + half + i] = b * c + a * s;
      }
    }
}
