import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../src/gpu/context.ts";
import { pendingKernel } from "../../src/gpu/kernel.ts";
import { testGpu } from "./gpu.ts";
import { kernelVariants } from "./variants.ts";

/** Software adapters compile all of them for many minutes: there the first stands for all. */
const MOST = process.env.WINNOW_FULL === "1" ? Number.POSITIVE_INFINITY : 1;

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

test("the kernels for GPUs compile on this adapter", async () => {
  const features = [...gpu.device.features].filter((name) => name === "subgroups");
  const variants = await kernelVariants("gpu", features as GPUFeatureName[]);
  expect(variants.length).toBeGreaterThan(200);
  for (const { name, spec } of variants.slice(0, MOST)) {
    const failed = await pendingKernel(gpu.device, spec)
      .compile()
      .catch((error: Error) => error.message);
    expect(failed, name).toBeUndefined();
  }
}, 600_000);
