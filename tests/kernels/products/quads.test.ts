import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createLinear } from "../../../src/kernels/products/linear.ts";
import { uploadMatrix } from "../../../src/kernels/products/weights.ts";
import { sharingOf } from "../../../src/kernels/quads.ts";
import { prefillDifference } from "../attention/prefill-case.ts";
import { readF32, testGpu, testGpuPlain, upload } from "../gpu.ts";
import { checkProduct } from "./product-case.ts";
import { randomFloats, randomTensor } from "./random-tensor.ts";

/** With lanes that load for each other, which all other tests of kernels run, and without. */
let quads: GpuContext;
let plain: GpuContext;
beforeAll(async () => {
  quads = await testGpu();
  plain = await testGpuPlain();
});
afterAll(() => {
  quads.destroy();
  plain.destroy();
});

const [n, k] = [45, 576];
const { source, values } = randomTensor("Q4_1", n, k, 7);

it("has lanes share where they can", () => {
  expect(sharingOf(quads).share).toBe(4);
  expect(sharingOf(plain).share).toBe(1);
});

describe("without subgroups", () => {
  it.each([1, 2, 9, 64])("multiplies %i rows", async (rows) => {
    const product = { sources: [source], weights: values, rows, shape: "row-tiles" } as const;
    await checkProduct(plain, product);
    if (rows === 2) await checkProduct(plain, { ...product, asAlone: true });
  });

  it.each([
    [64, 3, 63, 100, 0, 5],
    [128, 2, 33, 40, 30, 0],
  ])("attends, D %i, %i heads a kv head, %i rows behind %i", async (...shape) => {
    const [headDim, group, rows, cached, window, dropped] = shape;
    const cache = { layers: 2, heads: 2 * group, kvHeads: 2, headDim };
    const test = { rows, cached, window, dropped };
    expect(await prefillDifference(plain, cache, test)).toBeLessThan(1e-5);
  });
});

describe("both ways", () => {
  const multiply = async (
    gpu: GpuContext,
    rows: number,
    x: Float32Array,
  ): Promise<Float32Array> => {
    const matrix = await uploadMatrix(gpu, "W", [source], "stack", { wideScales: true });
    const config = { matrix, epilogue: "store", shape: "row-tiles", rows: [rows] } as const;
    const linear = await createLinear(gpu, config);
    const y = gpu.ledger.storage("activations", "y", rows * n * 4);
    const batch = gpu.ledger.uniform("batch", new Uint32Array([rows, 0, 0, 0]));
    gpu.run(linear.bind({ batch, x: upload(gpu, x), y }).dispatches(rows));
    return readF32(gpu, y);
  };

  it.each([1, 13])("gives %i rows the same bits", async (rows) => {
    const x = randomFloats(rows * k, rows);
    expect(await multiply(quads, rows, x)).toEqual(await multiply(plain, rows, x));
  });
});
