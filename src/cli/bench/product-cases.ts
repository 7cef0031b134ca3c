import type { GgmlType } from "../../formats/ggml/ggml-types.ts";
import { tensorByteLength } from "../../formats/ggml/ggml-types.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch, Kernel } from "../../gpu/kernel.ts";
import { MAX_SPLITS } from "../../kernels/attention/attention-tiling.ts";
import { createLinear, type Linear, type LinearEpilogue } from "../../kernels/products/linear.ts";
import type { Joins } from "../../kernels/products/matvec.ts";
import type { ProductPlan } from "../../kernels/products/product-plan.ts";
import { layoutOfType } from "../../kernels/products/weight-layouts.ts";
import type { TensorSource } from "../../kernels/products/weight-sections.ts";
import { uploadMatrix } from "../../kernels/products/weights.ts";
import type { ModelConfig } from "../../model/config.ts";
import { productWork, type Work } from "./work.ts";

/** One product of the model: W [N, K] and what is done with its result. */
interface ProductRole {
  name: string;
  n: number;
  k: number;
  epilogue: LinearEpilogue;
  norm: boolean;
  /** There for the product that can read attention's splits. */
  joins?: Joins;
}

/** A product's dispatches and the work of the one that multiplies. */
export interface ProductCase {
  name: string;
  layout: string;
  rows: number;
  kernel: Kernel;
  workgroups: Dispatch["workgroups"];
  /** Dispatches that multiply; norms that are dispatches of their own are left out. */
  dispatches: Dispatch[];
  work: Work;
}

/** One type for every layout that a row of 576 weights may lie in; K types need 256 per block. */
const TYPES: readonly GgmlType[] = ["Q4_1", "Q5_1", "Q8_0", "F16", "BF16", "F32"];

function roles({ hidden, heads, kvHeads, headDim, mlp, architecture }: ModelConfig): ProductRole[] {
  // layer-linears has the same.
  const toResidual = architecture.postNorms ? "store" : "add";
  return [
    {
      name: "qkv",
      n: (heads + 2 * kvHeads) * headDim,
      k: hidden,
      epilogue: "store",
      norm: true,
    },
    {
      name: "attention output",
      n: hidden,
      k: heads * headDim,
      epilogue: toResidual,
      norm: false,
      joins: { heads, headDim, maxSplits: MAX_SPLITS },
    },
    {
      name: "gate and up",
      n: 2 * mlp,
      k: hidden,
      epilogue: architecture.activation === "gelu" ? "geglu" : "swiglu",
      norm: true,
    },
    { name: "down", n: hidden, k: mlp, epilogue: toResidual, norm: false },
  ];
}

/** Weights of one pattern: ordinary halves and floats, since only time is measured. */
function patternTensor(type: GgmlType, rows: number, cols: number): TensorSource {
  const rowBytes = tensorByteLength(type, [cols]);
  return {
    name: "pattern",
    type,
    rows,
    cols,
    read: (_offset, length) => new Uint8Array(Math.ceil(length / rowBytes) * rowBytes).fill(0x2c),
  };
}

/** Buffers that the products of one bench share, each as large as the largest asks for. */
export interface ProductScratch {
  batch: GPUBuffer;
  x: GPUBuffer;
  y: GPUBuffer;
  normed: GPUBuffer;
}

/** The model and device whose products are timed, and the kernels that compute them. */
export interface ProductBench {
  readonly gpu: GpuContext;
  readonly config: ModelConfig;
  readonly plan: ProductPlan;
}

async function productCases(
  { gpu, config: { normEpsilon: epsilon }, plan }: ProductBench,
  role: ProductRole,
  type: GgmlType,
  scratch: ProductScratch,
  rowCounts: readonly number[],
): Promise<ProductCase[]> {
  const { n, k, epilogue, norm, joins } = role;
  const tensor = (rows: number): TensorSource => patternTensor(type, rows, k);
  const gated = epilogue === "swiglu" || epilogue === "geglu";
  const matrix = gated
    ? await uploadMatrix(gpu, role.name, [tensor(n / 2), tensor(n / 2)], "interleave")
    : await uploadMatrix(gpu, role.name, [tensor(n)]);
  const gain = gpu.ledger.storage("staging", "gain", k * 4);
  gpu.write(gain, new Float32Array(k).fill(1));
  const linear = await createLinear(gpu, {
    matrix,
    epilogue,
    shape: plan,
    ...(norm ? { norm: { gain, epsilon } } : {}),
  });
  const caseOf = (name: string, from: Linear, rows: number): ProductCase => {
    const dispatches = from
      .bind(scratch)
      .dispatches(rows)
      .filter(({ kernel }) => !isNorm(kernel));
    return {
      name,
      layout: matrix.parts[0]!.layout.name,
      rows,
      kernel: dispatches[0]!.kernel,
      workgroups: dispatches[0]!.workgroups,
      dispatches,
      work: productWork(matrix, rows, gated ? n / 2 : n),
    };
  };
  const cases = rowCounts.map((rows) => caseOf(role.name, linear, rows));
  if (!joins || plan.row !== "split-k") return cases;
  // Its input is splits of attention, more bytes than counted, which every workgroup reads from a cache.
  const joined = await createLinear(gpu, { matrix, epilogue, shape: plan, joins, rows: [1] });
  return [...cases, caseOf(`${role.name}, joining splits`, joined, 1)];
}

const isNorm = ({ label }: Kernel): boolean => label.startsWith("rms_norm");

/**
 * The model's products in the layouts it uses, as keys to recognise them by in its schedule: pipelines are
 * shared by everything compiled from one source, so a dispatch is the same product if its pipeline and its
 * workgroups are.
 */
export async function modelProducts(
  bench: ProductBench,
  layouts: ReadonlySet<string>,
  scratch: ProductScratch,
  rowCounts: readonly number[],
): Promise<ProductCase[]> {
  const { gpu, config } = bench;
  const { hidden, vocabulary } = config;
  const head: ProductRole = {
    name: "head",
    n: vocabulary,
    k: hidden,
    epilogue: "store",
    norm: true,
  };
  const wideScales = gpu.kind === "cpu";
  const cases: ProductCase[] = [];
  for (const type of TYPES) {
    if (!layouts.has(layoutOfType(type, wideScales).name)) continue;
    for (const role of roles(config))
      cases.push(...(await productCases(bench, role, type, scratch, rowCounts)));
    cases.push(...(await productCases(bench, head, type, scratch, [1])));
  }
  return cases;
}

/** The gate-and-up product, the largest of a layer, in every layout. */
export async function layoutCases(
  bench: ProductBench,
  scratch: ProductScratch,
  rowCounts: readonly number[],
): Promise<ProductCase[]> {
  const role = roles(bench.config)[2]!;
  const cases: ProductCase[] = [];
  for (const type of TYPES)
    cases.push(...(await productCases(bench, role, type, scratch, rowCounts)));
  return cases;
}
