import { expect, test } from "vitest";
import { create, globals } from "webgpu";
import { POLICIES, type Policy } from "../../src/cache/policies/index.ts";
import { featureScoring } from "../../src/cache/policies/policy.ts";
import { adapterKind } from "../../src/gpu/adapter-kind.ts";
import type { GpuContext } from "../../src/gpu/context.ts";
import { type Kernel, type KernelSpec, pendingKernel } from "../../src/gpu/kernel.ts";
import {
  createAttentionCombine,
  createAttentionDecode,
  createAttentionPrefill,
} from "../../src/kernels/attention.ts";
import type { CacheShape } from "../../src/kernels/cache-shape.ts";
import { createClamped } from "../../src/kernels/clamped.ts";
import { createEmbed } from "../../src/kernels/embed.ts";
import { createEvictSelect } from "../../src/kernels/evict-select.ts";
import { createJoinedScores } from "../../src/kernels/joined-scores.ts";
import { createKvMove } from "../../src/kernels/kv-move.ts";
import { createKvRing } from "../../src/kernels/kv-ring.ts";
import { createKvRestore, createKvSave } from "../../src/kernels/kv-undo.ts";
import { createKvWrite } from "../../src/kernels/kv-write.ts";
import { createLagScores } from "../../src/kernels/lag-scores.ts";
import { createLinear, type LinearEpilogue } from "../../src/kernels/linear.ts";
import { createNll } from "../../src/kernels/nll.ts";
import { createObserve } from "../../src/kernels/observe.ts";
import { KV_STORAGES } from "../../src/kernels/page-format.ts";
import { PLANS, TILES, type TileVariant } from "../../src/kernels/product-plan.ts";
import { createRetainedMass } from "../../src/kernels/retained-mass.ts";
import { createRetention } from "../../src/kernels/retention.ts";
import { createRmsNorm } from "../../src/kernels/rms-norm.ts";
import { createSample } from "../../src/kernels/sample.ts";
import { createScoreCache, type ScoreTarget } from "../../src/kernels/score-cache.ts";
import { createSelectAll } from "../../src/kernels/select-all.ts";
import { LAYOUTS, type LayoutName } from "../../src/kernels/weight-layouts.ts";
import type { WeightMatrix } from "../../src/kernels/weights.ts";

Object.assign(globalThis, globals);

/** Dawn without a driver: it validates WGSL, bindings and limits as a browser does, and runs nothing. */
const dawn = create(["backend=null"]);

/** A context on the null device, opened with WebGPU's default limits, that claims to be another adapter. */
async function nullGpu(
  architecture: string,
  specs: KernelSpec[],
  requiredFeatures: GPUFeatureName[] = [],
): Promise<GpuContext> {
  const adapter = await dawn.requestAdapter();
  if (!adapter) throw new Error("Dawn's null backend gave no adapter");
  const device = await adapter.requestDevice({ requiredFeatures });
  const buffer = {} as GPUBuffer;
  const info = {
    vendor: "test",
    architecture,
    device: "",
    description: "",
    isFallbackAdapter: false,
  };
  return {
    device,
    kind: adapterKind(info as GPUAdapterInfo),
    ledger: { uniform: () => buffer, storage: () => buffer, create: () => buffer },
    kernel: async (spec: KernelSpec): Promise<Kernel> => {
      specs.push(spec);
      const { kernel, compile } = pendingKernel(device, spec);
      await compile();
      return kernel;
    },
  } as unknown as GpuContext;
}

const matrix = (layout: LayoutName, rows: number, cols: number): WeightMatrix => ({
  label: "test",
  rows,
  cols,
  interleaved: true,
  bytes: 0,
  parts: [
    {
      layout: LAYOUTS[layout],
      firstRow: 0,
      rows,
      buffers: LAYOUTS[layout].streams.map(() => ({}) as GPUBuffer),
    },
  ],
});

async function collect(architecture: string, features: GPUFeatureName[]): Promise<KernelSpec[]> {
  const specs: KernelSpec[] = [];
  const gpu = await nullGpu(architecture, specs, features);
  const gain = {} as GPUBuffer;
  for (const layout of Object.keys(LAYOUTS) as LayoutName[]) {
    for (const epilogue of ["store", "add", "swiglu", "geglu"] satisfies LinearEpilogue[]) {
      await createLinear(gpu, {
        matrix: matrix(layout, 192, 576),
        epilogue,
        norm: { gain, epsilon: 1e-5 },
        bias: gain,
      });
      for (const tile of Object.keys(TILES) as TileVariant[])
        await createLinear(gpu, {
          matrix: matrix(layout, 192, 576),
          epilogue,
          shape: { row: "split-k", tile },
          rows: [9],
        });
      for (const shape of [PLANS["split-k"], { row: "rows", tile: "4x4/64" }] as const)
        await createLinear(gpu, {
          matrix: matrix(layout, 192, 576),
          epilogue,
          shape,
          asAlone: true,
        });
    }
    await createLinear(gpu, {
      matrix: matrix(layout, 192, 576),
      epilogue: "add",
      shape: PLANS["split-k"],
      joins: { heads: 9, headDim: 64, maxSplits: 32 },
      rows: [1],
    });
    await createEmbed(gpu, matrix(layout, 192, 576));
  }
  for (const [headDim, heads, kvHeads] of [
    [64, 9, 3],
    [128, 32, 8],
    [256, 4, 1],
  ] as const)
    await collectCache(gpu, { layers: 2, heads, kvHeads, headDim });
  // Of the other storages the shapes that ask for most.
  for (const storage of KV_STORAGES)
    for (const [headDim, heads, kvHeads] of [
      [24, 4, 2],
      [256, 4, 1],
    ] as const)
      await collectPages(gpu, { layers: 2, heads, kvHeads, headDim, storage });
  for (const storage of KV_STORAGES) {
    const shape: CacheShape = { layers: 2, heads: 4, kvHeads: 1, headDim: 256, storage };
    for (const target of [
      { kind: "block" },
      { kind: "step", scoring: 3 },
    ] satisfies ScoreTarget[]) {
      await createScoreCache(gpu, shape, {}, target);
      await createLagScores(gpu, shape, 128, target);
      await createObserve(gpu, shape, { pool: 2, accumulate: false }, target);
    }
  }
  await createRmsNorm(gpu, { cols: 576, epsilon: 1e-6, add: true });
  await createSample(gpu, { vocabulary: 49152 });
  await createNll(gpu);
  return specs;
}

/** Every kernel whose code depends on how pages store keys and values, scores aside. */
async function collectPages(gpu: GpuContext, shape: CacheShape): Promise<void> {
  await createAttentionDecode(gpu, shape);
  await createAttentionCombine(gpu, shape);
  for (const window of [0, 512])
    for (const over of ["empty", "any"] as const)
      await createAttentionPrefill(gpu, shape, undefined, window, over);
  for (const qkNorm of [undefined, { epsilon: 1e-6 }])
    for (const ring of [false, true]) {
      await createKvWrite(gpu, shape, { mode: "append", ring, qkNorm });
      await createKvWrite(gpu, shape, { mode: "chunk", ring, qkNorm });
    }
  await createKvRing(gpu, shape);
  for (const ring of [false, true]) await createKvSave(gpu, shape, { ring });
  await createKvRestore(gpu, shape);
  await createEvictSelect(gpu, shape);
  await createSelectAll(gpu, shape);
  await createKvMove(gpu, shape);
  await createRetention(gpu, shape);
  await createRetainedMass(gpu, shape);
}

/** Every kernel that touches the cache. */
async function collectCache(gpu: GpuContext, shape: CacheShape): Promise<void> {
  await collectPages(gpu, shape);
  for (const target of [{ kind: "block" }, { kind: "step", scoring: 3 }] satisfies ScoreTarget[]) {
    if (shape.headDim % 16 === 0)
      for (const policy of Object.values<Policy>(POLICIES)) {
        const { features = {}, joined } = featureScoring(policy) ?? {};
        await createScoreCache(gpu, shape, features, target);
        if (joined) await createJoinedScores(gpu, shape, features, joined.pool);
      }
    await createLagScores(gpu, shape, 128, target);
    for (const accumulate of [false, true])
      await createObserve(gpu, shape, { pool: accumulate ? 0 : 2, accumulate }, target);
  }
  await createClamped(gpu, shape);
}

test.each<[string, GPUFeatureName[]]>([
  ["apple", []],
  ["swiftshader", []],
  ["swiftshader", ["subgroups"]],
])(
  "every kernel for an adapter of %s with %j compiles, with the bindings its TypeScript says, within WebGPU's default limits",
  async (architecture, features) => {
    const specs = await collect(architecture, features);
    expect(specs.length).toBeGreaterThan(200);
    for (const { label, bindings } of specs)
      expect(bindings.filter((type) => type !== "uniform").length, label).toBeLessThanOrEqual(8);
  },
  240_000,
);

test("a binding that the WGSL contradicts is refused", async () => {
  const gpu = await nullGpu("apple", []);
  const code = [
    "@group(0) @binding(0) var<storage, read_write> x: array<u32>;",
    "@compute @workgroup_size(1) fn main() { x[0] = 1; }",
  ];
  await expect(gpu.kernel({ label: "wrong", code, bindings: ["read"] })).rejects.toThrow();
});
