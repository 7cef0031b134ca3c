import joinedInput from "../../../shaders/products/lib/joined_input.wgsl";
import code from "../../../shaders/products/matvec.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, wgslFloat } from "../../gpu/kernel.ts";
import { reads } from "./bindings.ts";
import {
  type ProductBuffers,
  type ProductConfig,
  productDispatch,
  productKernel,
} from "./product.ts";

export const MATVEC_CODE = code;

const PLAIN_INPUT = "fn input_vec(row: u32, k: u32) -> vec4<f32> { return x[row * COLS4 + k]; }";

/** Rows of W per workgroup, as in the shader. */
const GROUP_ROWS = 16;

/** The shape of attention whose splits a product joins. */
export interface Joins {
  /** H */
  readonly heads: number;
  /** D */
  readonly headDim: number;
  readonly maxSplits: number;
}

export interface MatvecConfig extends ProductConfig {
  /** RMSNorm folded into the product: its epsilon; the gain comes with the buffers. */
  readonly normEpsilon?: number | undefined;
  /** x is not [M, K] but the splits of attention [M, H, MAX_SPLITS, D + 2], to be joined; K = H D. */
  readonly joins?: Joins | undefined;
  /** Rows of x per workgroup: 1, 2 or 4. */
  readonly maxRows: 1 | 2 | 4;
}

export interface Matvec {
  readonly maxRows: number;
  /** A dispatch for M rows over one part; W is read once for each `maxRows` of them. */
  bind(buffers: ProductBuffers): (rows: number) => Dispatch;
}

/** y = epilogue(norm(x) W^T + bias) for a few rows, K split over the lanes of a workgroup. */
export async function createMatvec(gpu: GpuContext, config: MatvecConfig): Promise<Matvec> {
  const { normEpsilon, maxRows, joins } = config;
  const norm = normEpsilon !== undefined;
  const kernel = await productKernel(
    gpu,
    `matvec ${maxRows}${joins ? " joined" : ""}`,
    code,
    config,
    {
      NORM: norm,
      TILE_M: maxRows,
      ...(joins && { HEADS: joins.heads, HEAD_DIM: joins.headDim, MAX_SPLITS: joins.maxSplits }),
    },
    { m: maxRows },
    norm ? [reads("gain", "array<vec4<f32>>")] : [],
    [
      `const EPSILON = ${wgslFloat(normEpsilon ?? 0)};`,
      joins ? joinedInput : PLAIN_INPUT,
      `fn gain_of(k: u32) -> vec4<f32> { return ${norm ? "gain[k]" : "vec4(1.0)"}; }`,
    ],
  );
  return {
    maxRows,
    bind(buffers) {
      const one = productDispatch(kernel, buffers);
      const groups = Math.ceil(buffers.part.rows / GROUP_ROWS);
      return (rows) => ({ ...one, workgroups: [groups, Math.ceil(rows / maxRows)] });
    },
  };
}
