import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createRmsNorm } from "../../../src/kernels/products/rms-norm.ts";
import { rmsNorm } from "../../reference/twins/products/rms-norm.ts";
import { readF32, testGpu, testGpuPlain, upload } from "../gpu.ts";
import { randomFloats } from "./random-tensor.ts";

let gpu: GpuContext;

async function check(x: Float32Array, rows: number, cols: number, epsilon: number, first = 0) {
  const gain = randomFloats(cols, 4, 3);
  const kernel = await createRmsNorm(gpu, { cols, epsilon });
  const batch = gpu.ledger.uniform("batch", new Uint32Array([rows, first, 0, 0]));
  const y = upload(gpu, new Float32Array((rows + 1) * cols).fill(-9));
  const bound = kernel.bind({ batch, x: upload(gpu, x), gain: upload(gpu, gain), y });
  gpu.run([bound(rows)]);
  const found = await readF32(gpu, y);
  const expected = rmsNorm(x.subarray(first * cols), gain, rows, cols, epsilon);
  for (let i = 0; i < rows * cols; i++)
    if (!(Math.abs(found[i]! - expected[i]!) <= 2e-6 * (1e-3 + Math.abs(expected[i]!))))
      expect.fail(`output ${i} of ${rows}x${cols}: ${found[i]}, not ${expected[i]}`);
  expect(found.subarray(rows * cols)).toEqual(new Float32Array(cols).fill(-9));
}

describe.each([
  ["for processors", () => testGpu("cpu")],
  ["for processors, without subgroups", testGpuPlain],
  ["for GPUs", () => testGpu("gpu")],
])("rms_norm %s", (_name, open) => {
  beforeAll(async () => {
    gpu = await open();
  });
  afterAll(() => gpu.destroy());

  it.each([4, 32, 100, 576, 1536, 4096])("normalises rows of %i", async (cols) => {
    await check(randomFloats(3 * cols, cols), 3, cols, 1e-5);
  });

  it("starts at batch.first", async () => {
    await check(randomFloats(5 * 576, 8), 2, 576, 1e-6, 3);
  });

  it("keeps rows of zeros, of tiny and of large values finite", async () => {
    const cols = 64;
    const x = new Float32Array(3 * cols);
    x.set(randomFloats(cols, 1, 1e-12), cols);
    x.set(randomFloats(cols, 2, 1e15), 2 * cols);
    await check(x, 3, cols, 1e-5);
  });
});
