import { afterAll, beforeAll, describe, it } from "vitest";
import type { GgmlType } from "../../../src/formats/ggml/ggml-types.ts";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { testGpu } from "../gpu.ts";
import { checkProduct } from "./product-case.ts";
import { ALL_TYPES, bindingOf16Rows, gateUp, randomTensor } from "./random-tensor.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const product = (n: number, k: number, type: GgmlType = "Q4_1") => {
  const { source, values } = randomTensor(type, n, k, n + k);
  return { sources: [source], weights: values };
};

describe.each(["row-tiles", "split-k"] as const)("matvec, %s", (shape) => {
  it.each(ALL_TYPES)(
    "multiplies by %s: a row, in parts that a binding holds, and three",
    async (type) => {
      const upload = { maxBindingBytes: bindingOf16Rows(type, 768, false) };
      const test = { ...product(45, 768, type), shape, wideScales: false };
      await checkProduct(gpu, { ...test, rows: 1, upload });
      await checkProduct(gpu, { ...test, rows: 3 });
    },
  );

  it.each(["Q4_0", "Q5_1"] as const)("multiplies by %s with f32 scales", async (type) => {
    await checkProduct(gpu, { ...product(45, 96, type), rows: 1, shape, wideScales: true });
  });

  it("takes odd heights and any width, one pass of the tile or many", async () => {
    for (const [n, k, rows] of [
      [1, 32, 1],
      [7, 96, 2],
      [33, 576, 1],
      [19, 1536, 1],
      [19, 2080, 2],
      [35, 4096, 1],
    ] as const)
      await checkProduct(gpu, { ...product(n, k), rows, shape });
  });

  it("adds a residual and a bias", async () => {
    const config = { ...product(45, 160), shape, epilogue: "add", bias: true, first: 3 } as const;
    await checkProduct(gpu, { ...config, rows: 1 });
    await checkProduct(gpu, { ...config, rows: 3 });
  });

  it("normalises: a row, several, from batch.first", async () => {
    const config = { ...product(45, 576), shape, norm: true } as const;
    await checkProduct(gpu, { ...config, rows: 1, first: 2 });
    await checkProduct(gpu, { ...config, rows: 3 });
    await checkProduct(gpu, { ...product(17, 1536), shape, norm: true, bias: true, rows: 1 });
  });

  it("gates: interleaved, and stacked where no layout holds both types", async () => {
    const config = { rows: 1, shape, epilogue: "swiglu", interleave: true, norm: true } as const;
    await checkProduct(gpu, { ...config, ...gateUp(21, 256, "Q4_1", "Q4_1") });
    await checkProduct(gpu, { ...config, ...gateUp(21, 256, "Q4_K", "Q6_K"), bias: true, rows: 2 });
  });

  it("takes float rows of any multiple of 4", async () => {
    await checkProduct(gpu, { ...product(21, 100, "F32"), rows: 1, shape });
    await checkProduct(gpu, { ...product(21, 36, "F16"), rows: 2, shape });
    await checkProduct(gpu, { ...product(5, 4, "BF16"), rows: 1, shape });
  });
});
