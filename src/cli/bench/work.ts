import type { CacheShape } from "../../kernels/pages/cache-shape.ts";
import { chunkFormat, slotBytes } from "../../kernels/pages/page-format.ts";

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
/** Position and score of a slot. */
const SLOT_BYTES = 8;
/** A key and a value as the cache stores them, with their scales. */
const pairBytes = (shape: CacheShape): number => slotBytes(shape) - SLOT_BYTES;

/** y = x W^T for `rows` rows of x: W once as it lies on the GPU, x and y once. */
export const productWork = (
  matrix: { rows: number; cols: number; bytes: number },
  rows: number,
  outputs = matrix.rows,
): Work => ({
  bytes: matrix.bytes + rows * (matrix.cols + outputs) * F32,
  flops: 2 * rows * matrix.rows * matrix.cols,
});

/** Queries, keys and values in and out of the activations, and pairs into pages like `target`. */
const writeBytes = ({ rows, heads, kvHeads, headDim }: StepShape, target: CacheShape): number =>
  rows * ((2 * heads + 2 * kvHeads) * headDim * F32 + kvHeads * pairBytes(target));
const writeFlops = ({ rows, heads, kvHeads, headDim }: StepShape): number =>
  rows * ((heads + kvHeads) * 3 + kvHeads * 2) * headDim;

/** Work of the kernels whose label says what they do, by the start of the label. */
const BY_LABEL: readonly [start: string, work: (step: StepShape) => Work][] = [
  [
    "attention_decode",
    (step) => ({
      bytes: step.rows * step.slots * step.kvHeads * pairBytes(step),
      flops: 4 * step.rows * step.slots * step.heads * step.headDim,
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
    ({ rows, slots, heads, kvHeads, headDim, ...rest }) => {
      const shape = { ...rest, heads, kvHeads, headDim };
      const keys = slots * pairBytes(shape) + rows * pairBytes(chunkFormat(shape));
      return {
        bytes: kvHeads * keys + 2 * rows * heads * headDim * F32,
        flops: 4 * rows * (slots + (rows + 1) / 2) * heads * headDim,
      };
    },
  ],
  [
    // Rotates q and k, scores k, finds the slot of the lowest score, writes the pair.
    "kv_write append",
    (step) => ({
      bytes: writeBytes(step, step) + step.rows * step.kvHeads * step.slots * SLOT_BYTES,
      flops: writeFlops(step),
    }),
  ],
  [
    "kv_write chunk",
    (step) => ({ bytes: writeBytes(step, chunkFormat(step)), flops: writeFlops(step) }),
  ],
  // A move of each row.
  ["select_all", ({ rows, kvHeads }) => ({ bytes: 2 * rows * kvHeads * F32, flops: 0 })],
  [
    "evict_select",
    ({ rows, slots, kvHeads }) => ({ bytes: (slots + rows) * kvHeads * SLOT_BYTES, flops: 0 }),
  ],
  [
    // At most every row of the chunk replaces a slot.
    "kv_move",
    (step) => ({
      bytes: step.rows * step.kvHeads * (slotBytes(chunkFormat(step)) + slotBytes(step)),
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
