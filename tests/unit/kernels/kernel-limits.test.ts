import { expect, test } from "vitest";
import { create, globals } from "webgpu";
import { moduleOf, pendingKernel, shaderBindings } from "../../../src/gpu/kernel.ts";
import { kernelVariants } from "../../kernels/variants.ts";

Object.assign(globalThis, globals);

/** Dawn without a driver: it validates WGSL, bindings and limits as a browser does, and runs nothing. */
const dawn = create(["backend=null"]);

/** A device of the null adapter, opened with WebGPU's default limits. */
async function nullDevice(requiredFeatures: GPUFeatureName[] = []): Promise<GPUDevice> {
  const adapter = await dawn.requestAdapter();
  if (!adapter) throw new Error("Dawn's null backend gave no adapter");
  return adapter.requestDevice({ requiredFeatures });
}

test.each<["gpu" | "cpu", GPUFeatureName[]]>([
  ["gpu", []],
  ["cpu", []],
  ["cpu", ["subgroups"]],
])(
  "every kernel for an adapter of kind %s with %j compiles within WebGPU's default limits",
  async (kind, features) => {
    const device = await nullDevice(features);
    const variants = await kernelVariants(kind, features);
    expect(variants.length).toBeGreaterThan(200);
    for (const { name, spec } of variants) {
      const failed = await pendingKernel(device, spec)
        .compile()
        .catch((error: Error) => error.message);
      expect(failed, name).toBeUndefined();
      const buffers = shaderBindings(moduleOf(spec)).filter(({ type }) => type !== "uniform");
      expect(buffers.length, name).toBeLessThanOrEqual(8);
    }
  },
  240_000,
);

test("whatever src/kernels names as a kernel is in the list of variants", async () => {
  const sources = import.meta.glob<string>("../../../src/kernels/**/*.ts", {
    query: "?raw",
    import: "default",
    eager: true,
  });
  const labels = Object.values(sources).flatMap((code) =>
    [...code.matchAll(/gpu\.kernel\(\{\s*label: ["`](\w+)/g)].map(([, label]) => label!),
  );
  expect(labels.length).toBeGreaterThan(15);
  const lists = await Promise.all([kernelVariants("gpu"), kernelVariants("cpu")]);
  const compiled = new Set(lists.flat().map(({ spec }) => spec.label.split(" ")[0]));
  expect(labels.filter((label) => !compiled.has(label))).toEqual([]);
});

test("a kernel takes the buffers that its shader declares, by name, and says which one is missing", async () => {
  const device = await nullDevice();
  const code = [
    "@group(0) @binding(2) var<storage, read_write> x: array<u32>;",
    "@group(0) @binding(5) var<storage, read> y: array<u32>;",
    "@compute @workgroup_size(1) fn main() { x[0] = y[0]; }",
  ];
  const { kernel, compile } = pendingKernel(device, { label: "sums", code });
  await compile();
  const buffer = (): GPUBuffer => device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  const [x, y, other] = [buffer(), buffer(), buffer()];
  expect(kernel.dispatch({ other, y, x }, [1]).workgroups).toEqual([1]);
  expect(() => kernel.dispatch({ x, other }, [1])).toThrow("sums: no buffer for y");
});
