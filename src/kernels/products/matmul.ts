import code from "../../../shaders/products/matmul.wgsl";
import rowsCode from "../../../shaders/products/matvec_rows.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import { sharingOf } from "../quads.ts";
import {
  type ProductBuffers,
  type ProductConfig,
  productDispatch,
  productKernel,
} from "./product.ts";

/** WGSL from which kernels of any tile are made. */
export const MATMUL_CODES = [code, rowsCode];

/** Rows of x by rows of W that one invocation computes. */
export type MatmulTile = {
  /** Even. */
  readonly n: number;
  /** Invocations per workgroup, along N. */
  readonly group: number;
} & (
  | {
      /** How K is gone through: in blocks of 32 with `block_dot`, written out. A row's sums are the same for any `m`. */
      readonly loop: "blocks";
      readonly m: 1 | 2;
    }
  | {
      /** Four columns at a time with `block_vec`, in whole quads of rows. A row's sums are the same for any `m`. */
      readonly loop: "columns";
      readonly m: 4 | 8;
    }
);

export interface Matmul {
  readonly tile: MatmulTile;
  /** A dispatch for M rows over one part: a bind group, and workgroups by M. */
  bind(buffers: ProductBuffers): (rows: number) => Dispatch;
}

/**
 * y = epilogue(x W^T + bias) for any M, from a register tile an invocation. Also the matvec of CPU
 * adapters, with a tile one row high, or two.
 */
export async function createMatmul(
  gpu: GpuContext,
  config: ProductConfig,
  tile: MatmulTile,
): Promise<Matmul> {
  const { m, n, group, loop } = tile;
  const sharing = sharingOf(gpu);
  const { share } = sharing;
  const kernel = await productKernel(
    gpu,
    `matmul ${m}x${n}${share > 1 ? " quads" : ""}`,
    loop === "blocks" ? rowsCode : code,
    { ...config, fromShape: { sharing, anyEpilogue: loop === "columns" } },
    { TILE_M: m, TILE_N: n, GROUP: group },
    { m, n, g: (loop === "columns" ? m : 8) / share, r: share },
  );
  return {
    tile,
    bind(buffers) {
      const x = Math.ceil(buffers.part.rows / (tile.n * tile.group));
      const one = productDispatch(kernel, buffers);
      return (rows) => ({ ...one, workgroups: [x, Math.ceil(rows / tile.m)] });
    },
  };
}
