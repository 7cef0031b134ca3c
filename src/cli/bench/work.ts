import type { CacheShape } from "../../kernels/cache-shape.ts";

/** The least work of a dispatch: bytes that must cross to or from memory once, and f32 operations (an fma is two). */
export interface Work {
  bytes: number;
  flops: number;
}

/** Where a step stands: what the work of its kernels depends on. */
export interface StepShape extends CacheShape {
  /** M. */
  rows: number;
  /** C: slots a kv head holds. */
  slots: number;
  /** Splits of decode attention. */
  splits: number;
  /** E. */
  hidden: number;
  /** V. */
  vocabulary: number;
}

const F32 = 4;
/** A key and a value as halves. */
const pairBytes = (headDim: number): number => 2 * 2 * headDim;
/** Position and score of a slot. */
const SLOT_BYTES = 8;

/** y = x W^T for `rows` rows of x: W once as it lies on the GPU, x and y once. */
export const productWork = (
  matrix: { rows: number; cols: number; bytes: number },
  rows: number,
  outputs = matrix.rows,
): Work => ({
  bytes: matrix.bytes + rows * (matrix.cols + outputs) * F32,
  flops: 2 * rows * matrix.rows * matrix.cols,
});

/** Work of the kernels whose label says what they do, by the start of the label. */
const BY_LABEL: readonly [start: string, work: (step: StepShape) => Work][] = [
  [
    "attention_decode",
    ({ rows, slots, heads, kvHeads, headDim }) => ({
      bytes: rows * slots * kvHeads * pairBytes(headDim),
      flops: 4 * rows * slots * heads * headDim,
    }),
  ],
  [
    "attention_combine",
    ({ rows, splits, heads, headDim }) => ({
      bytes: rows * heads * (splits * (headDim + 2) + headDim) * F32,
      flops: 2 * rows * heads * splits * headDim,
    }),
  ],
  [
    // Row r attends to the cache and to rows 0..r of the chunk.
    "attention_prefill",
    ({ rows, slots, heads, kvHeads, headDim }) => ({
      bytes: (slots + rows) * kvHeads * pairBytes(headDim) + 2 * rows * heads * headDim * F32,
      flops: 4 * rows * (slots + (rows + 1) / 2) * heads * headDim,
    }),
  ],
  [
    // Rotates q and k, scores k, finds the slot of the lowest score, writes the pair.
    "kv_write append",
    ({ rows, slots, heads, kvHeads, headDim }) => ({
      bytes:
        rows * ((2 * heads + 2 * kvHeads) * headDim * F32 + kvHeads * pairBytes(headDim)) +
        rows * kvHeads * slots * SLOT_BYTES,
      flops: rows * ((heads + kvHeads) * 3 + kvHeads * 2) * headDim,
    }),
  ],
  [
    "kv_write chunk",
    ({ rows, heads, kvHeads, headDim }) => ({
      bytes: rows * ((2 * heads + 2 * kvHeads) * headDim * F32 + kvHeads * pairBytes(headDim)),
      flops: rows * ((heads + kvHeads) * 3 + kvHeads * 2) * headDim,
    }),
  ],
  [
    "evict_select",
    ({ rows, slots, kvHeads }) => ({ bytes: (slots + rows) * kvHeads * SLOT_BYTES, flops: 0 }),
  ],
  [
    // At most every row of the chunk replaces a slot.
    "kv_move",
    ({ rows, kvHeads, headDim }) => ({
      bytes: 2 * rows * kvHeads * (pairBytes(headDim) + SLOT_BYTES),
      flops: 0,
    }),
  ],
  [
    "rms_norm",
    ({ rows, hidden }) => ({ bytes: 2 * rows * hidden * F32, flops: 4 * rows * hidden }),
  ],
  ["sample", ({ vocabulary }) => ({ bytes: 3 * vocabulary * F32, flops: 0 })],
];

/** Undefined for a kernel that is not known here: its time is given without a share. */
export function workOf(label: string, step: StepShape): Work | undefined {
  return BY_LABEL.find(([start]) => label.startsWith(start))?.[1](step);
}
