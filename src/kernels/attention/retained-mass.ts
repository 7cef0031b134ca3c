import weightsCode from "../../../shaders/attention/attention_weights.wgsl";
import massCode from "../../../shaders/attention/retained_mass.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { BufferBinding, Dispatch } from "../../gpu/kernel.ts";
import type { CacheShape } from "../pages/cache-shape.ts";
import { pageCode, pagedConstants } from "../pages/page-code.ts";

const WORKGROUP = 64;

export interface RetainedMassBuffers {
  /** Uniform LayerShape. */
  shape: BufferBinding;
  /** Row [R] of the step; the first one's cache must be uncompressed. */
  rows: BufferBinding;
  tables: BufferBinding;
  /** f32 [M, (H + 2G) D], queries turned. */
  qkv: BufferBinding;
  /** The layer's slab. */
  pages: BufferBinding;
  /** Scratch f32 [H, positions]. */
  weights: BufferBinding;
  /** Output f32 [L, R, H]: this layer's part is written. */
  sums: BufferBinding;
}

export interface RetainedMass {
  /** Two dispatches of one layer, behind the step's appends. */
  dispatches(buffers: RetainedMassBuffers, rows: number): Dispatch[];
}

/**
 * The attention of the first of a step's rows, not divided by its sum, on the tokens that each row's cache holds:
 * a row's share is its sum by the first one's.
 */
export async function createRetainedMass(
  gpu: GpuContext,
  shape: CacheShape,
): Promise<RetainedMass> {
  const { heads, kvHeads } = shape;
  const paged = pagedConstants(shape, { GROUP: heads / kvHeads, WORKGROUP });
  const [weigh, add] = await Promise.all([
    gpu.kernel({
      label: "attention_weights",
      code: [paged, ...pageCode("pages", shape, "read words"), weightsCode],
    }),
    gpu.kernel({
      label: "retained_mass",
      code: [paged, ...pageCode("pages", shape), massCode],
    }),
  ]);
  return {
    dispatches: (buffers, rows) => [
      weigh.dispatch(buffers, [heads]),
      add.dispatch(buffers, [heads, rows]),
    ],
  };
}
