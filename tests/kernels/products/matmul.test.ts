import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GgmlType } from "../../../src/formats/ggml/ggml-types.ts";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createLinear } from "../../../src/kernels/products/linear.ts";
import { TILES, type TileVariant } from "../../../src/kernels/products/product-plan.ts";
import { uploadMatrix } from "../../../src/kernels/products/weights.ts";
import { readF32, testGpu, upload } from "../gpu.ts";
import { checkProduct } from "./product-case.ts";
import { ALL_TYPES, gateUp, randomFloats, randomTensor } from "./random-tensor.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const product = (n: number, k: number, type: GgmlType = "Q4_1") => {
  const { source, values } = randomTensor(type, n, k, n + k);
  return { sources: [source], weights: values };
};

describe.each(["row-tiles", "split-k"] as const)("matmul, %s", (shape) => {
  it.each(ALL_TYPES)("multiplies by %s", async (type) => {
    await checkProduct(gpu, { ...product(45, 768, type), rows: 11, shape });
  });

  it.each([5, 17, 64, 130])("takes %i rows, odd heights and widths", async (rows) => {
    for (const [n, k] of [
      [1, 32],
      [7, 96],
      [33, 576],
      [19, 2080],
    ] as const)
      await checkProduct(gpu, { ...product(n, k), rows, shape });
  });

  it("adds a residual, a bias, and starts at batch.first", async () => {
    await checkProduct(gpu, {
      ...product(45, 160),
      rows: 9,
      shape,
      epilogue: "add",
      bias: true,
      first: 3,
    });
  });

  it("normalises first", async () => {
    await checkProduct(gpu, { ...product(45, 576), rows: 9, shape, norm: true, first: 2 });
  });

  it("gates: interleaved, stacked where no layout holds both types", async () => {
    const config = {
      rows: 9,
      shape,
      epilogue: "swiglu",
      interleave: true,
      norm: true,
      bias: false,
    } as const;
    await checkProduct(gpu, { ...config, ...gateUp(21, 256, "Q4_1", "Q4_1") });
    await checkProduct(gpu, { ...config, ...gateUp(21, 256, "Q4_0", "Q4_K"), bias: true });
    await checkProduct(gpu, { ...config, ...gateUp(21, 256, "Q4_K", "Q6_K") });
  });

  it("takes float rows of any multiple of 4, and several parts", async () => {
    await checkProduct(gpu, { ...product(21, 100, "F32"), rows: 6, shape });
    await checkProduct(gpu, { ...product(21, 36, "F16"), rows: 6, shape });
    const upload = { maxBindingBytes: 16 * 32 * 5, chunkBytes: 700 };
    await checkProduct(gpu, { ...product(70, 160, "Q8_0"), rows: 6, shape, upload });
  });
});

/** Of the other tiles what differs between them: how outputs, stages and slices are divided. */
const STAGED = (Object.keys(TILES) as TileVariant[]).filter((tile) => tile.startsWith("staged"));

describe.each(STAGED)("matmul, %s", (tile) => {
  const shape = { row: "split-k", tile } as const;

  it.each([5, 70])("takes %i rows, odd heights and widths", async (rows) => {
    await checkProduct(gpu, { ...product(1, 32), rows, shape });
    await checkProduct(gpu, { ...product(75, 2080, "Q8_0"), rows, shape, bias: true, first: 2 });
    await checkProduct(gpu, { ...product(34, 100, "F32"), rows, shape, epilogue: "add" });
  });

  it("gates", async () => {
    const config = { rows: 19, shape, epilogue: "swiglu", interleave: true, bias: true } as const;
    await checkProduct(gpu, { ...config, ...gateUp(21, 256, "Q4_1", "Q4_1") });
    await checkProduct(gpu, { ...config, ...gateUp(21, 256, "Q4_K", "Q6_K") });
  });

  it("gives a row the same bits whatever rows are beside it", async () => {
    const [n, k, rows] = [45, 576, 37];
    const matrix = await uploadMatrix(gpu, "W", product(n, k).sources);
    const linear = await createLinear(gpu, { matrix, epilogue: "store", shape, rows: [rows] });
    const x = randomFloats(rows * k, 3);
    const run = async (count: number, input: Float32Array) => {
      const y = upload(gpu, new Float32Array(count * n));
      const batch = gpu.ledger.uniform("batch", new Uint32Array([count, 0, 0, 0]));
      gpu.run(linear.bind({ batch, x: upload(gpu, input), y }).dispatches(count, true));
      return readF32(gpu, y);
    };
    const together = await run(rows, x);
    for (const m of [0, 17, 36]) {
      const alone = await run(1, x.slice(m * k, (m + 1) * k));
      expect(together.slice(m * n, (m + 1) * n)).toEqual(alone);
    }
    gpu.ledger.destroyAll();
  });
});

it("stacks tensors of different types, rows in another order", async () => {
  const k = 512;
  const q = randomTensor("Q4_0", 32, k, 1);
  const v = randomTensor("Q6_K", 17, k, 2);
  const rowOrder = (row: number) => (row < 16 ? 2 * row : 2 * (row - 16) + 1);
  const weights = new Float32Array(49 * k);
  for (let row = 0; row < 32; row++)
    weights.set(q.values.subarray(rowOrder(row) * k, (rowOrder(row) + 1) * k), row * k);
  weights.set(v.values, 32 * k);
  const sources = [{ ...q.source, rowOrder }, v.source];
  for (const rows of [1, 6])
    for (const shape of ["row-tiles", "split-k"] as const)
      await checkProduct(gpu, {
        sources,
        weights,
        rows,
        shape,
        bias: true,
        upload: { chunkBytes: 4000 },
      });
  expect(gpu.ledger.report().total).toBe(0);
});
