import { expect } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createLinear, type LinearEpilogue } from "../../../src/kernels/products/linear.ts";
import type { ProductPlan, ProductShapeName } from "../../../src/kernels/products/product-plan.ts";
import type { TensorSource } from "../../../src/kernels/products/weight-sections.ts";
import { type UploadOptions, uploadMatrix } from "../../../src/kernels/products/weights.ts";
import { swiglu } from "../../reference/twins/products/matmul.ts";
import { matvec } from "../../reference/twins/products/matvec.ts";
import { readF32, upload } from "../gpu.ts";
import { randomFloats } from "./random-tensor.ts";

export interface ProductCase {
  readonly sources: readonly TensorSource[];
  /** f32 [N, K] in the matrix's row order. */
  readonly weights: Float32Array;
  readonly rows: number;
  readonly shape: ProductShapeName | ProductPlan;
  readonly asAlone?: boolean;
  readonly epilogue?: LinearEpilogue;
  readonly norm?: boolean;
  readonly bias?: boolean;
  readonly first?: number;
  readonly interleave?: boolean;
  readonly upload?: UploadOptions;
  readonly wideScales?: boolean;
}

const EPSILON = 1e-5;

/** Runs one product on the GPU and compares every output with the twin. */
export async function checkProduct(gpu: GpuContext, test: ProductCase): Promise<void> {
  const { sources, weights, rows, shape, epilogue = "store", first = 0 } = test;
  const cols = sources[0]!.cols;
  const n = weights.length / cols;
  const x = randomFloats((rows + first) * cols, 17 * rows + cols);
  const gain = test.norm ? randomFloats(cols, 5, 2) : undefined;
  const bias = test.bias ? randomFloats(n, 9) : undefined;
  const width = epilogue === "swiglu" ? n / 2 : n;
  const before = randomFloats((rows + 1) * width, 3);

  const arrangement = test.interleave ? "interleave" : "stack";
  const matrix = await uploadMatrix(gpu, "W", sources, arrangement, {
    ...test.upload,
    ...(test.wideScales !== undefined && { wideScales: test.wideScales }),
  });
  const linear = await createLinear(gpu, {
    matrix,
    epilogue,
    shape,
    rows: [rows],
    ...(test.asAlone && { asAlone: true }),
    ...(gain && { norm: { gain: upload(gpu, gain), epsilon: EPSILON } }),
    ...(bias && { bias: upload(gpu, stacked(bias, test.interleave && !matrix.interleaved)) }),
  });
  const y = upload(gpu, before);
  const normed = gpu.ledger.storage("activations", "normed", rows * cols * 4);
  const batch = gpu.ledger.uniform("batch", new Uint32Array([rows, first, 0, 0]));
  gpu.run(linear.bind({ batch, x: upload(gpu, x), y, normed }).dispatches(rows));
  const found = await readF32(gpu, y);
  gpu.ledger.destroyAll();

  const input = x.subarray(first * cols);
  const options = { ...(gain && { gain, epsilon: EPSILON }), ...(bias && { bias }) };
  const exact = matvec(input, weights, rows, n, cols, options);
  // f32 sums: error in proportion to the sum of magnitudes.
  const size = matvec(input.map(Math.abs), weights.map(Math.abs), rows, n, cols, {
    ...(gain && { gain: gain.map(Math.abs), epsilon: EPSILON }),
    ...(bias && { bias: bias.map(Math.abs) }),
  });
  const expected = epilogue === "swiglu" ? swiglu(exact) : exact;
  for (let i = 0; i < rows * width; i++) {
    const want = expected[i]! + (epilogue === "add" ? before[i]! : 0);
    const allowed =
      epilogue === "swiglu"
        ? 2e-6 * (1 + size[2 * i]!) * (1 + size[2 * i + 1]!)
        : 2e-6 * (1 + size[i]!);
    if (!(Math.abs(found[i]! - want) <= allowed))
      expect.fail(`output ${i} of ${rows}x${width}: ${found[i]}, not ${want} +- ${allowed}`);
  }
  // Nothing past the last row.
  expect(found.subarray(rows * width)).toEqual(before.subarray(rows * width));
}

/** Values in turns -> the even ones, then the odd ones, if `apart`. */
const stacked = (values: Float32Array, apart: boolean | undefined): Float32Array =>
  apart
    ? Float32Array.of(
        ...values.filter((_, i) => i % 2 === 0),
        ...values.filter((_, i) => i % 2 === 1),
      )
    : values;
