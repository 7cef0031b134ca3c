/** Heads of layers that are smaller than those of the cache, and the norms of queries, keys and values before RoPE. */
import gather from "../../../shaders/attention/gather_heads.wgsl";
import spread from "../../../shaders/attention/spread_heads.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants, wgslFloat } from "../../gpu/kernel.ts";

const GROUP = 64;

export interface HeadSizes {
  /** H */
  readonly heads: number;
  /** G */
  readonly kvHeads: number;
  /** D of the cache. */
  readonly headDim: number;
  /** Dimensions of the layer's heads: even, at most D. */
  readonly size: number;
}

export interface SpreadConfig extends HeadSizes {
  /** The layer has queries alone: keys and values are another layer's. */
  readonly queriesOnly: boolean;
  readonly epsilon: number;
  /** Queries are multiplied by it. */
  readonly scale: number;
}

export interface SpreadBuffers {
  /** f32 [M, H + 2 G or H, size] */
  readonly x: BufferBinding;
  /** f32 [2, size]: gains of queries and keys */
  readonly gains: BufferBinding;
  /** f32 [M, H + 2 G, D] */
  readonly qkv: BufferBinding;
}

/** qkv = normalised heads of x, each half at the beginning of a half of D. */
export async function createSpreadHeads(
  gpu: GpuContext,
  { heads, kvHeads, headDim, size, queriesOnly, epsilon, scale }: SpreadConfig,
): Promise<(buffers: SpreadBuffers) => (rows: number) => Dispatch> {
  const projected = queriesOnly ? heads : heads + 2 * kvHeads;
  const kernel = await gpu.kernel({
    label: "spread_heads",
    code: [
      wgslConstants({
        SIZE: size,
        HEAD_DIM: headDim,
        HEADS: heads,
        KV_HEADS: kvHeads,
        PROJECTED: projected,
        GROUP,
      }),
      `const EPSILON = ${wgslFloat(epsilon)};\nconst SCALE = ${wgslFloat(scale)};`,
      ...spread,
    ],
  });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => ({ ...one, workgroups: [projected, rows] });
  };
}

export interface GatherBuffers {
  /** f32 [M, H, D] */
  readonly attended: BufferBinding;
  /** f32 [M, H, size] */
  readonly y: BufferBinding;
}

/** y = the parts of attended that heads of `size` dimensions have. */
export async function createGatherHeads(
  gpu: GpuContext,
  { heads, headDim, size }: Omit<HeadSizes, "kvHeads">,
): Promise<(buffers: GatherBuffers) => (rows: number) => Dispatch> {
  const kernel = await gpu.kernel({
    label: "gather_heads",
    code: [wgslConstants({ SIZE: size, HEAD_DIM: headDim, HEADS: heads }), ...gather],
  });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => ({ ...one, workgroups: [Math.ceil((heads * size) / GROUP), rows] });
  };
}
