/**
 * y = epilogue(norm(x) W^T + bias) for any number of rows: picks matvec or matmul for M, adds
 * rms_norm where it is not folded, and makes one dispatch a part of the matrix.
 */
import { WinnowError } from "../../errors.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch, Stage } from "../../gpu/kernel.ts";
import { onGpus, onProcessors } from "../by-adapter.ts";
import type { MatmulTile } from "./matmul.ts";
import type { StagedTile } from "./matmul-staged.ts";
import type { Joins } from "./matvec.ts";
import { type Epilogue, type ProductBuffers, productShape } from "./product.ts";
import {
  PLANS,
  type ProductPlan,
  type ProductShapeName,
  TILES,
  usualPlan,
} from "./product-plan.ts";
import { createRmsNorm } from "./rms-norm.ts";
import type { WeightMatrix, WeightPart } from "./weights.ts";

/**
 * store: y = r. add: y += r (residual). swiglu: y[j] = silu(gate[j]) * up[j], N / 2 outputs, for a
 * matrix of gate and up rows, interleaved or (two dispatches) stacked. geglu: the same with GELU.
 */
export type LinearEpilogue = "store" | "add" | "swiglu" | "geglu";

const isGated = (epilogue: LinearEpilogue): boolean =>
  epilogue === "swiglu" || epilogue === "geglu";

export interface LinearConfig {
  readonly matrix: WeightMatrix;
  readonly epilogue: LinearEpilogue;
  /** RMSNorm before the product: x * gain * rsqrt(mean(x^2) + epsilon). gain: f32 [K]. */
  readonly norm?: { readonly gain: GPUBuffer; readonly epsilon: number };
  /** f32 [N], in the matrix's row order (gate and up in turns only if matrix.interleaved). */
  readonly bias?: GPUBuffer;
  /** Default: the plan for the device's kind. */
  readonly shape?: ProductShapeName | ProductPlan;
  /** The only M that will be asked for, so that no other kernel is compiled. Default: any. */
  readonly rows?: readonly number[];
  /** x is the splits of attention, one row: they are joined on the way in. Where the plan has split-k only. */
  readonly joins?: Joins;
  /**
   * For tokens that are checked together: each row is computed by the same operations in the same order as a row
   * that runs alone, so that it has the same bits (where the driver's compiler does not fuse what it fused there).
   */
  readonly asAlone?: boolean;
  /** When the kernels that take a few rows alone are first needed. */
  readonly fewRows?: Stage;
}

export interface LinearBuffers {
  /** uniform { rows: M, first, 0, 0 } */
  readonly batch: GPUBuffer;
  /** f32 [first + M, K] */
  readonly x: GPUBuffer;
  /** f32 [M, N], or N / 2 where gated */
  readonly y: GPUBuffer;
  /** Scratch f32 [M, K], needed with `norm`; all products may share it. */
  readonly normed?: GPUBuffer;
}

export interface BoundLinear {
  /**
   * The dispatches, in order, for M rows. Bind groups are prebuilt, the list is new: cache it by M.
   * `alike`: the kernel that takes any M, whatever M is, so that a row's result does not depend on how many
   * rows there are; else the fastest one for M.
   */
  dispatches(rows: number, alike?: boolean): Dispatch[];
}

export interface Linear {
  bind(buffers: LinearBuffers): BoundLinear;
}

/** Most rows that kernels of their own may take, in any plan. */
export const FEW_ROWS = 4;

type Bound = (rows: number) => Dispatch;

/** A kernel for up to `maxRows` rows of x. */
interface Variant {
  readonly maxRows: number;
  readonly foldsNorm: boolean;
  bind(buffers: ProductBuffers): Bound;
}

/** Compiles the kernels of one matrix; pipelines are shared by matrices of one width and layout. */
export async function createLinear(gpu: GpuContext, config: LinearConfig): Promise<Linear> {
  const { matrix, norm, bias } = config;
  const plan =
    typeof config.shape === "string" ? PLANS[config.shape] : (config.shape ?? usualPlan(gpu));
  const yStride = isGated(config.epilogue) ? matrix.rows / 2 : matrix.rows;
  const parts = await Promise.all(
    matrix.parts.map(async (part) => {
      const { epilogue, column } = partEpilogue(config, part);
      return {
        part,
        shape: productShape(gpu, part, {
          cols: matrix.cols,
          yStride,
          column,
          epilogue,
          fromFirst: norm === undefined,
        }),
        variants: await createVariants(gpu, config, part, epilogue, plan),
      };
    }),
  );
  const rmsNorm = norm && (await createRmsNorm(gpu, { cols: matrix.cols, epsilon: norm.epsilon }));
  return {
    bind({ batch, x, y, normed }) {
      if (norm && !normed)
        throw new WinnowError("internal", `${matrix.label}: no scratch for the norm`);
      const normalise = norm && rmsNorm?.bind({ batch, x, gain: norm.gain, y: normed! });
      const bound = parts.map(({ part, shape, variants }) =>
        variants.map((variant) => {
          const apart = norm !== undefined && !variant.foldsNorm;
          const gain = norm && variant.foldsNorm ? norm.gain : undefined;
          const input = apart ? normed! : x;
          const dispatch = variant.bind({ batch, x: input, y, part, shape, bias, gain });
          return { maxRows: variant.maxRows, apart, dispatch };
        }),
      );
      return {
        dispatches(rows, alike = false) {
          const chosen = bound.map((list) =>
            alike ? list.at(-1)! : list.find(({ maxRows }) => rows <= maxRows)!,
          );
          const first = normalise && chosen[0]!.apart ? [normalise(rows)] : [];
          return [...first, ...chosen.map(({ dispatch }) => dispatch(rows))];
        },
      };
    },
  };
}

/** A stacked gate/up matrix stores silu's argument first, then multiplies. */
function partEpilogue(
  { matrix, epilogue }: LinearConfig,
  part: WeightPart,
): { epilogue: Epilogue; column: number } {
  const { firstRow, rows } = part;
  if (epilogue === "store" || epilogue === "add") return { epilogue, column: firstRow };
  if (matrix.interleaved) return { epilogue: "swiglu", column: firstRow };
  const half = matrix.rows / 2;
  if (firstRow >= half) return { epilogue: "gate", column: firstRow - half };
  if (firstRow + rows <= half) return { epilogue: "store", column: firstRow };
  throw new WinnowError("internal", `${matrix.label}: a part holds gate and up rows, stacked`);
}

// Measured on SwiftShader.
const ROW: MatmulTile = { m: 1, n: 12, group: 8, loop: "blocks" };
const TWO_ROWS: MatmulTile = { m: 2, n: 12, group: 8, loop: "blocks" };

/** Ascending by maxRows; the last takes any number of rows. */
async function createVariants(
  gpu: GpuContext,
  { matrix, epilogue: whole, norm, bias, rows, joins, asAlone, fewRows }: LinearConfig,
  part: WeightPart,
  epilogue: Epilogue,
  plan: ProductPlan,
): Promise<Variant[]> {
  const any = Number.POSITIVE_INFINITY;
  const common = {
    layout: part.layout,
    cols: matrix.cols,
    epilogue,
    gelu: whole === "geglu",
    bias: bias !== undefined,
  };
  const stageOf = (maxRows: number) => (maxRows < any ? fewRows : undefined);
  const matvec = (maxRows: number, tile: 1 | 4) => async (): Promise<Variant> => {
    const config = {
      ...common,
      stage: stageOf(maxRows),
      first: true,
      maxRows: tile,
      normEpsilon: norm?.epsilon,
      joins,
      scalarInput: joins !== undefined,
    };
    return {
      maxRows,
      foldsNorm: true,
      bind: (await (await onGpus()).createMatvec(gpu, config)).bind,
    };
  };
  const matmul = (maxRows: number, tile: MatmulTile) => async (): Promise<Variant> => {
    const config = { ...common, stage: stageOf(maxRows), first: norm === undefined };
    const { bind } = await (await onProcessors()).createMatmul(gpu, config, tile);
    return { maxRows, foldsNorm: false, bind };
  };
  const staged = (tile: StagedTile) => async (): Promise<Variant> => {
    const { createStagedMatmul } = await onGpus();
    const { bind } = await createStagedMatmul(gpu, { ...common, first: norm === undefined }, tile);
    return { maxRows: any, foldsNorm: false, bind };
  };
  const manyRows = (tile: MatmulTile | StagedTile): (() => Promise<Variant>) =>
    "loop" in tile ? matmul(any, tile) : staged(tile);
  const split = plan.row === "split-k";
  const ladder: readonly { maxRows: number; create: () => Promise<Variant> }[] =
    asAlone === true
      ? [{ maxRows: any, create: split ? matvec(any, 4) : matmul(any, TWO_ROWS) }]
      : [
          ...(split
            ? [
                { maxRows: 1, create: matvec(1, 1) },
                { maxRows: FEW_ROWS, create: matvec(FEW_ROWS, 4) },
              ]
            : // Two or three rows, the tail of a prompt, are not worth seconds of compiling a kernel.
              [{ maxRows: 3, create: matmul(3, ROW) }]),
          { maxRows: any, create: manyRows(TILES[plan.tile]) },
        ];
  const needed = (step: { maxRows: number }): boolean =>
    rows === undefined ||
    rows.some((count) => ladder.find(({ maxRows }) => count <= maxRows) === step);
  return Promise.all(ladder.filter(needed).map(({ create }) => create()));
}
