import code from "../../shaders/matvec.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { reads } from "./bindings.ts";
import { bindProduct, type ProductBuffers, type ProductConfig, productKernel } from "./product.ts";
import { wgslFloat } from "./rms-norm.ts";

/** Rows of W a workgroup, as in the shader. */
const GROUP_ROWS = 16;

export interface MatvecConfig extends ProductConfig {
  /** RMSNorm folded into the product: its epsilon; the gain comes with the buffers. */
  readonly normEpsilon?: number | undefined;
  /** Rows of x a workgroup: 1, 2 or 4. */
  readonly maxRows: 1 | 2 | 4;
}

export interface Matvec {
  readonly maxRows: number;
  /** A dispatch for M rows over one part; W is read once for each `maxRows` of them. */
  bind(buffers: ProductBuffers): (rows: number) => Dispatch;
}

/** y = epilogue(norm(x) W^T + bias) for a few rows, K split over the lanes of a workgroup. */
export async function createMatvec(gpu: GpuContext, config: MatvecConfig): Promise<Matvec> {
  const { normEpsilon, maxRows } = config;
  const norm = normEpsilon !== undefined;
  const kernel = await productKernel(
    gpu,
    `matvec ${maxRows}`,
    code,
    config,
    { NORM: norm, TILE_M: maxRows },
    { m: maxRows },
    norm ? [reads("gain", "array<vec4<f32>>")] : [],
    [
      `const EPSILON = ${wgslFloat(normEpsilon ?? 0)};`,
      `fn gain_of(k: u32) -> vec4<f32> { return ${norm ? "gain[k]" : "vec4(1.0)"}; }`,
    ],
  );
  return {
    maxRows,
    bind(buffers) {
      const bindings = bindProduct(kernel, buffers);
      const groups = Math.ceil(buffers.part.rows / GROUP_ROWS);
      return (rows) => ({ kernel, bindings, workgroups: [groups, Math.ceil(rows / maxRows)] });
    },
  };
}
