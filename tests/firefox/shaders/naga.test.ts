import { expect, test } from "vitest";
import { pendingKernel } from "../../../src/gpu/kernel.ts";
import { type KernelVariant, kernelVariants } from "../../kernels/variants.ts";

/** What the browser's compiler says of a kernel: errors and warnings, none where it is right. */
async function complaints(device: GPUDevice, { name, spec }: KernelVariant): Promise<string[]> {
  const make = GPUDevice.prototype.createShaderModule;
  const modules: GPUShaderModule[] = [];
  device.createShaderModule = (descriptor) => {
    const module = make.call(device, descriptor);
    modules.push(module);
    return module;
  };
  const failed = await pendingKernel(device, spec)
    .compile()
    .then(
      () => [],
      (error: Error) => [error.message],
    );
  const { messages } = await modules[0]!.getCompilationInfo();
  const said = messages.map(({ type, message, lineNum }) => `${type}, line ${lineNum}: ${message}`);
  return [...said, ...failed].map((text) => `${name}: ${text}`);
}

test.each<["gpu" | "cpu", GPUFeatureName[]]>([
  ["gpu", []],
  ["cpu", []],
  ["cpu", ["subgroups"]],
])(
  "Firefox compiles every kernel for an adapter of kind %s with %j",
  async (kind, features) => {
    const adapter = await navigator.gpu.requestAdapter();
    if (!adapter) throw new Error("Firefox has no WebGPU adapter");
    const missing = features.filter((feature) => !adapter.features.has(feature));
    if (missing.length > 0) return console.log(`not compiled: the adapter has no ${missing}`);
    const device = await adapter.requestDevice({ requiredFeatures: features });
    const variants = await kernelVariants(kind, features);
    expect(variants.length).toBeGreaterThan(200);
    const said: string[] = [];
    for (const variant of variants) said.push(...(await complaints(device, variant)));
    expect(said).toEqual([]);
    console.log(`${variants.length} kernels`);
    device.destroy();
  },
  600_000,
);
