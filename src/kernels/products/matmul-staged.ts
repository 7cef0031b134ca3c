import code from "../../../shaders/products/matmul_staged.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import {
  type ProductBuffers,
  type ProductConfig,
  productDispatch,
  productKernel,
} from "./product.ts";

export const STAGED_CODE = code;

/** Rows of x by rows of W that one workgroup computes out of workgroup memory, 4 x 4 per invocation. */
export interface StagedTile {
  /** Rows of x, a multiple of 4. */
  readonly m: number;
  /** Rows of W, a multiple of 32. */
  readonly n: number;
  /** Blocks of 32 columns staged at a time: 128 (m + n) bytes each, 16 KiB in all. */
  readonly depth: number;
  /** Groups of m n / 16 invocations that divide the staged columns; at most 256 invocations. */
  readonly slices: number;
}

/** y = epilogue(x W^T + bias) for any M, on GPUs. */
export async function createStagedMatmul(
  gpu: GpuContext,
  config: ProductConfig,
  { m, n, depth, slices }: StagedTile,
): Promise<{ bind(buffers: ProductBuffers): (rows: number) => Dispatch }> {
  const threads = (m * n * slices) / 16;
  const kernel = await productKernel(
    gpu,
    `matmul staged ${m}x${n}/${threads}`,
    code,
    config,
    { TILE_M: m, TILE_N: n, DEPTH: depth, SLICES: slices },
    { m: 4, n: 4, i: (m * 8 * depth) / threads, v: (8 * n * depth) / threads },
  );
  return {
    bind(buffers) {
      const x = Math.ceil(buffers.part.rows / n);
      const one = productDispatch(kernel, buffers);
      return (rows) => ({ ...one, workgroups: [x, Math.ceil(rows / m)] });
    },
  };
}
