/** Shared by matvec and matmul: buffers, constants and epilogues of y = epilogue(x W^T + bias). */
import product from "../../../shaders/products/lib/product.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch, Kernel, Stage, Wgsl } from "../../gpu/kernel.ts";
import { wgslConstants } from "../../gpu/kernel.ts";
import { shaderStruct } from "../../gpu/shader-struct.ts";
import type { Sharing } from "../quads.ts";
import { unroll } from "../unroll.ts";
import { declareBindings, reads, uniform, writes } from "./bindings.ts";
import { BLOCK, type WeightLayout } from "./weight-layouts.ts";
import { streamsOf, type WeightPart } from "./weights.ts";

/**
 * store: y = r. add: y += r. swiglu: y[j] = silu(r[2j]) r[2j + 1] of interleaved rows.
 * gate: y = silu(y) r, the second half of a swiglu whose gate and up rows are stacked.
 */
const EPILOGUES = ["store", "add", "swiglu", "gate"] as const;
export type Epilogue = (typeof EPILOGUES)[number];

export interface ProductConfig {
  readonly layout: WeightLayout;
  /** K, a multiple of 4. */
  readonly cols: number;
  readonly epilogue: Epilogue;
  /** GELU (tanh form) in place of silu. */
  readonly gelu: boolean;
  readonly bias: boolean;
  /** x is an array of f32, read by a function of the kernel's own. Default: of vec4<f32>. */
  readonly scalarInput?: boolean | undefined;
  /** x starts at row batch.first (else at 0). */
  readonly first: boolean;
  readonly stage?: Stage | undefined;
  /** For kernels that take K from the shape, and with `anyEpilogue` that too: one then serves all products of a layout. */
  readonly fromShape?: { readonly sharing: Sharing; readonly anyEpilogue: boolean } | undefined;
}

/** Buffers of one product. */
export interface ProductBuffers {
  readonly batch: GPUBuffer;
  /** f32 [first + M, K] */
  readonly x: GPUBuffer;
  /** f32 [M, y_stride] */
  readonly y: GPUBuffer;
  readonly part: WeightPart;
  /** Uniform from `productShape`. */
  readonly shape: GPUBuffer;
  readonly bias?: GPUBuffer | undefined;
  /** f32 [K]; matvec with a folded norm only. */
  readonly gain?: GPUBuffer | undefined;
}

const PRODUCT_SHAPE = shaderStruct<
  "rows" | "first_row" | "column" | "y_stride" | "blocks" | "cols4" | "epilogue" | "from_first"
>(product, "ProductShape");

/**
 * The uniform of a part of a matrix of `cols` columns: `column` is where its outputs begin in a row of y of `yStride`
 * f32; `fromFirst`: x begins at row batch.first.
 */
export const productShape = (
  gpu: GpuContext,
  { rows, firstRow }: WeightPart,
  { cols, yStride, column, epilogue, fromFirst }: ShapeConfig,
): GPUBuffer =>
  gpu.ledger.uniform(
    "product shape",
    PRODUCT_SHAPE.pack({
      rows,
      first_row: firstRow,
      column,
      y_stride: yStride,
      blocks: Math.ceil(cols / BLOCK),
      cols4: cols / 4,
      epilogue: EPILOGUES.indexOf(epilogue),
      from_first: Number(fromFirst),
    }),
  );

interface ShapeConfig {
  readonly cols: number;
  readonly yStride: number;
  readonly column: number;
  readonly epilogue: Epilogue;
  readonly fromFirst: boolean;
}

/** WGSL of what lib/product asks: from the shape, or as constants. */
function epilogueCode({ epilogue, first, fromShape }: ProductConfig): string {
  const any = fromShape?.anyEpilogue ?? false;
  const is = (kind: Epilogue): string =>
    any ? `shape.epilogue == ${EPILOGUES.indexOf(kind)}u` : `${epilogue === kind}`;
  return [
    ["adds", is("add")],
    ["pairs", is("swiglu")],
    ["gates", is("gate")],
    ["from_first", any ? "shape.from_first == 1u" : `${first}`],
  ]
    .map(([name, value]) => `fn ${name}() -> bool { return ${value}; }`)
    .join("\n");
}

/** Compiles a product kernel: constants, declarations, weight format, epilogue, then `code`. */
export async function productKernel(
  gpu: GpuContext,
  label: string,
  code: Wgsl,
  config: ProductConfig,
  constants: Readonly<Record<string, number | boolean>>,
  counts: Readonly<Record<string, number>>,
  extra: Parameters<typeof declareBindings>[0] = [],
  snippets: readonly Wgsl[] = [],
): Promise<Kernel> {
  const { layout, cols, epilogue, gelu, bias, fromShape } = config;
  const bindings = [
    uniform("batch", "Batch"),
    uniform("shape", "ProductShape"),
    reads("x", config.scalarInput ? "array<f32>" : "array<vec4<f32>>"),
    writes("y", "array<f32>"),
    ...layout.streams.map(({ name, type }) => reads(name, type)),
    ...(bias ? [reads("bias", "array<f32>")] : []),
    ...extra,
  ];
  return gpu.kernel({
    label: `${label} ${layout.name}${fromShape?.anyEpilogue ? "" : ` ${epilogue}`}`,
    code: [
      fromShape?.sharing.header ?? "",
      wgslConstants({
        ...(!fromShape && { ROW_BLOCKS: Math.ceil(cols / BLOCK), COLS4: cols / 4 }),
        RAGGED: cols % BLOCK !== 0,
        GELU: gelu,
        ...constants,
      }),
      declareBindings(bindings),
      `fn bias_of(n: u32) -> f32 { return ${bias ? "bias[n]" : "0.0"}; }`,
      epilogueCode(config),
      fromShape?.sharing.code ?? [],
      ...(await layout.code()),
      ...snippets,
      unroll(code, { j: 8, ...counts }),
    ],
    stage: config.stage,
  });
}

/** A product's dispatch of one workgroup. */
export const productDispatch = (kernel: Kernel, { part, ...buffers }: ProductBuffers): Dispatch =>
  kernel.dispatch({ ...buffers, ...streamsOf(part) }, [1]);
