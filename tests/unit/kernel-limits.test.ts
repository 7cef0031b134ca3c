import { expect, test } from "vitest";
import { create, globals } from "webgpu";
import { pendingKernel } from "../../src/gpu/kernel.ts";
import { kernelVariants } from "../kernels/variants.ts";

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
  "every kernel for an adapter of kind %s with %j compiles, with the bindings its TypeScript says, within WebGPU's default limits",
  async (kind, features) => {
    const device = await nullDevice(features);
    const variants = await kernelVariants(kind, features);
    expect(variants.length).toBeGreaterThan(200);
    for (const { name, spec } of variants) {
      const failed = await pendingKernel(device, spec)
        .compile()
        .catch((error: Error) => error.message);
      expect(failed, name).toBeUndefined();
      const buffers = spec.bindings.filter((type) => type !== "uniform" && type !== "none");
      expect(buffers.length, name).toBeLessThanOrEqual(8);
    }
  },
  240_000,
);

test("whatever src/kernels names as a kernel is in the list of variants", async () => {
  const sources = import.meta.glob<string>("../../src/kernels/*.ts", {
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

test("a binding that the WGSL contradicts is refused", async () => {
  const code = [
    "@group(0) @binding(0) var<storage, read_write> x: array<u32>;",
    "@compute @workgroup_size(1) fn main() { x[0] = 1; }",
  ];
  const spec = { label: "wrong", code, bindings: ["read" as const] };
  await expect(pendingKernel(await nullDevice(), spec).compile()).rejects.toThrow();
});
