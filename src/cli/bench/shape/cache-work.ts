import { type CacheShape, windowOf } from "../../../kernels/pages/cache-shape.ts";
import { slotBytes } from "../../../kernels/pages/page-format.ts";
import type { ModelConfig } from "../../../model/config.ts";
import type { Work } from "../work.ts";

/** Where a step stands. */
export interface StepAt {
  /** M */
  readonly rows: number;
  /** Pairs that each head holds before it, at most. */
  readonly slots: number;
}

/** What a layer does besides its products: a state is read and written once, the cache's pairs are read once. */
export function cacheWork(
  { blocks, states }: ModelConfig,
  shape: CacheShape,
  block: number,
  { rows, slots }: StepAt,
): Work {
  const { kind, index, borrows } = blocks[block]!;
  if (kind === "state") {
    const { words, projected, mixed } = states[index]!;
    // Each word of a state meets a row in about four multiply-adds.
    return { bytes: 2 * words * 4 + rows * (projected + mixed) * 4, flops: 8 * rows * words };
  }
  const { heads, kvHeads, headDim } = shape;
  const held = Math.min(slots, windowOf(shape, index) || slots);
  const seen = held + (rows > 1 ? (rows + 1) / 2 : 1);
  return {
    bytes:
      (held + (borrows ? 0 : rows)) * kvHeads * slotBytes(shape) + 2 * rows * heads * headDim * 4,
    flops: 4 * rows * seen * heads * headDim,
  };
}
