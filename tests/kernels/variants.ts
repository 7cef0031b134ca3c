import { POLICIES, type Policy } from "../../src/cache/policies/index.ts";
import { featureScoring, lagOf } from "../../src/cache/policies/policy.ts";
import type { AdapterKind } from "../../src/gpu/adapter-kind.ts";
import type { GpuContext } from "../../src/gpu/context.ts";
import type { Kernel, KernelSpec } from "../../src/gpu/kernel.ts";
import {
  createAttentionCombine,
  createAttentionDecode,
  createAttentionPrefill,
} from "../../src/kernels/attention/attention.ts";
import { createGateHeads } from "../../src/kernels/attention/gate-heads.ts";
import { createGatherHeads, createSpreadHeads } from "../../src/kernels/attention/head-sizes.ts";
import { createRetainedMass } from "../../src/kernels/attention/retained-mass.ts";
import {
  createFinishLayer,
  createGateInputs,
  createLayerInputs,
} from "../../src/kernels/inputs/layer-inputs.ts";
import type { CacheShape } from "../../src/kernels/pages/cache-shape.ts";
import { createClamped } from "../../src/kernels/pages/clamped.ts";
import { createEvictSelect } from "../../src/kernels/pages/evict-select.ts";
import { createKvFold } from "../../src/kernels/pages/kv-fold.ts";
import { createKvMove } from "../../src/kernels/pages/kv-move.ts";
import { createKvRing } from "../../src/kernels/pages/kv-ring.ts";
import { createKvRestore, createKvSave } from "../../src/kernels/pages/kv-undo.ts";
import { createKvWrite } from "../../src/kernels/pages/kv-write.ts";
import { KV_STORAGES } from "../../src/kernels/pages/page-format.ts";
import { createRememberBlock } from "../../src/kernels/pages/remember-block.ts";
import { createRetention } from "../../src/kernels/pages/retention.ts";
import { createSelectAll } from "../../src/kernels/pages/select-all.ts";
import { createEmbed } from "../../src/kernels/products/embed.ts";
import {
  createLinear,
  type LinearConfig,
  type LinearEpilogue,
} from "../../src/kernels/products/linear.ts";
import { PLANS, TILES, type TileVariant } from "../../src/kernels/products/product-plan.ts";
import { createRmsNorm } from "../../src/kernels/products/rms-norm.ts";
import { LAYOUTS, type LayoutName } from "../../src/kernels/products/weight-layouts.ts";
import type { WeightMatrix } from "../../src/kernels/products/weights.ts";
import { createBiasLogits } from "../../src/kernels/sampling/bias-logits.ts";
import { createCapLogits } from "../../src/kernels/sampling/cap-logits.ts";
import { createMaskLogits } from "../../src/kernels/sampling/mask-logits.ts";
import { createNll } from "../../src/kernels/sampling/nll.ts";
import { createSample } from "../../src/kernels/sampling/sample.ts";
import { createTopLogits } from "../../src/kernels/sampling/top-logits.ts";
import { createJoinedScores } from "../../src/kernels/scoring/joined-scores.ts";
import { createLagScores } from "../../src/kernels/scoring/lag-scores.ts";
import { createObserve, SECOND_READING } from "../../src/kernels/scoring/observe.ts";
import { createScoreCache, type ScoreTarget } from "../../src/kernels/scoring/score-cache.ts";
import { createDeltaPrompt, createDeltaStep } from "../../src/kernels/states/delta-net.ts";
import { createShortConv } from "../../src/kernels/states/short-conv.ts";

/** A kernel as it is compiled for some adapter and model. */
export interface KernelVariant {
  /** The kernel's label and what it was specialised for. */
  readonly name: string;
  readonly spec: KernelSpec;
}

/** [D, key heads, value heads] of gated DeltaNet. */
const DELTA_HEADS = [
  [128, 16, 16],
  [128, 16, 32],
  [256, 2, 4],
  [4, 2, 2],
] as const;

/** [head dimension, query heads, kv heads]: of SmolLM2 135M, Llama 3 8B, Gemma 3 and 4, and the smallest that is taken. */
const HEADS = [
  [64, 9, 3],
  [128, 32, 8],
  [256, 4, 1],
  [512, 8, 1],
  [24, 4, 2],
] as const;

/**
 * Every kernel that may be picked at run time on an adapter of this kind, each distinct source once: what compilers of
 * WGSL are tried on. Nothing is compiled here.
 */
export async function kernelVariants(
  kind: AdapterKind,
  features: readonly GPUFeatureName[] = [],
): Promise<KernelVariant[]> {
  const list = new VariantList(kind, features);
  for (const layout of Object.keys(LAYOUTS) as LayoutName[]) await products(list, layout);
  for (const storage of KV_STORAGES)
    for (const [headDim, heads, kvHeads] of HEADS)
      await cache(list, { layers: 2, heads, kvHeads, headDim, storage });
  const { gpu } = list.for("");
  for (const add of [false, true]) await createRmsNorm(gpu, { cols: 576, epsilon: 1e-6, add });
  await createSample(gpu, { vocabulary: 49152 });
  await createNll(gpu);
  for (const vocabulary of [7, 49152]) {
    await createMaskLogits(gpu, { vocabulary });
    await createBiasLogits(gpu, { vocabulary });
    await createTopLogits(gpu, { vocabulary });
  }
  for (const taps of [2, 3, 7])
    for (const rowsAre of ["serial", "apart", "each"] as const)
      await createShortConv(gpu, { channels: 2048, taps }, rowsAre);
  // Of Qwen3.5 0.8B and 4B, the largest and the smallest that are taken.
  for (const [dim, keyHeads, valueHeads] of DELTA_HEADS) {
    const shape = { dim, keyHeads, valueHeads, taps: 4, epsilon: 1e-6 };
    await createDeltaPrompt(gpu, shape);
    for (const rowsAre of ["apart", "each"] as const) await createDeltaStep(gpu, shape, rowsAre);
  }
  await createGateHeads(gpu, 2048);
  // Of Gemma 4 E2B: layers with a window, global ones, and those that borrow keys and values.
  for (const size of [256, 512]) {
    const sizes = { heads: 8, kvHeads: 1, headDim: 512, size, epsilon: 1e-6, scale: 22.6 };
    for (const queriesOnly of [false, true])
      await createSpreadHeads(gpu, { ...sizes, queriesOnly });
    await createGatherHeads(gpu, sizes);
  }
  const inputs = { layers: 35, size: 256, rows: 128, scale: 0.03, epsilon: 1e-6 };
  await createLayerInputs(gpu, inputs);
  await createGateInputs(gpu, 256);
  await createFinishLayer(gpu, { cols: 1536, epsilon: 1e-6 });
  await createCapLogits(gpu, { vocabulary: 262144, cap: 30 });
  return [...list.variants.values()];
}

/** Takes down what is asked of it, in place of a GPU. */
class VariantList {
  readonly variants = new Map<string, KernelVariant>();
  readonly gpu: GpuContext;
  private words = "";

  constructor(kind: AdapterKind, features: readonly GPUFeatureName[]) {
    const buffer = {} as GPUBuffer;
    this.gpu = {
      device: { features: new Set(features) },
      kind,
      ledger: { uniform: () => buffer, storage: () => buffer, create: () => buffer },
      kernel: async (spec: KernelSpec): Promise<Kernel> => {
        const name = [spec.label, this.words, kind, ...features].filter(Boolean).join(", ");
        const code = spec.code.join("\n");
        if (!this.variants.has(code)) this.variants.set(code, { name, spec });
        return {} as Kernel;
      },
    } as unknown as GpuContext;
  }

  /** What is asked for from here on was specialised for `words`. */
  for(words: string): this {
    this.words = words;
    return this;
  }
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

/** A gate and an up matrix of different layouts, one behind the other. */
function stacked(layout: LayoutName): WeightMatrix {
  const whole = matrix(layout, 192, 576);
  const half = { ...whole.parts[0]!, rows: 96 };
  return { ...whole, interleaved: false, parts: [half, { ...half, firstRow: 96 }] };
}

/** What the schedule asks for: src/model/layer-linears.ts and the head. */
const PRODUCTS: readonly [LinearEpilogue, { norm?: true; bias?: true }][] = [
  ["store", { norm: true, bias: true }],
  ["store", { norm: true }],
  ["store", {}],
  ["add", {}],
  ["swiglu", { norm: true }],
  ["geglu", { norm: true }],
];

async function products(list: VariantList, layout: LayoutName): Promise<void> {
  const gain = {} as GPUBuffer;
  const weights = matrix(layout, 192, 576);
  const linear = (words: string, config: Omit<LinearConfig, "matrix">, of = weights) =>
    createLinear(list.for(words).gpu, { ...config, matrix: of });
  for (const [epilogue, around] of PRODUCTS) {
    const words = [epilogue, ...Object.keys(around)].join(" ");
    const config: Omit<LinearConfig, "matrix"> = {
      epilogue,
      ...(around.norm && { norm: { gain, epsilon: 1e-5 } }),
      ...(around.bias && { bias: gain }),
    };
    for (const shape of Object.keys(PLANS) as (keyof typeof PLANS)[]) {
      await linear(`${words}, ${shape}`, { ...config, shape });
      await linear(`${words}, ${shape}, as alone`, { ...config, shape, asAlone: true });
      if (epilogue === "swiglu" || epilogue === "geglu")
        await linear(`${words}, ${shape}, stacked`, { ...config, shape }, stacked(layout));
    }
    for (const tile of Object.keys(TILES) as TileVariant[])
      await linear(`${words}, tile ${tile}`, {
        ...config,
        shape: { row: "split-k", tile },
        rows: [9],
      });
  }
  for (const [headDim, heads] of HEADS)
    for (const epilogue of ["store", "add"] as const) {
      const joins = { heads, headDim, maxSplits: 32 };
      const config = { epilogue, joins, shape: PLANS["split-k"], rows: [1] };
      const output = matrix(layout, 192, heads * headDim);
      await linear(`${epilogue}, joins ${heads} heads of ${headDim}`, config, output);
    }
  for (const scale of [1, 25.3]) await createEmbed(list.for(`scale ${scale}`).gpu, weights, scale);
}

/** Every kernel that touches the cache. */
async function cache(list: VariantList, shape: CacheShape): Promise<void> {
  const { headDim, storage } = shape;
  const { gpu } = list;
  const name = (words = ""): VariantList =>
    list.for([`${storage} pages`, `heads of ${headDim}`, words].filter(Boolean).join(", "));
  name();
  await createAttentionDecode(gpu, shape);
  await createAttentionCombine(gpu, shape);
  for (const window of [0, 512])
    for (const over of ["empty", "any"] as const) {
      name(`over ${over}`);
      await createAttentionPrefill(gpu, shape, undefined, window, over);
    }
  name();
  for (const gained of [{}, { gains: true }, { gains: true, normEpsilon: 1e-6 }])
    for (const ring of [false, true]) {
      await createKvWrite(gpu, shape, { mode: "append", ring, ...gained });
      await createKvWrite(gpu, shape, { mode: "chunk", ring, ...gained });
    }
  await createKvFold(gpu, shape);
  await createKvRing(gpu, shape);
  for (const ring of [false, true]) await createKvSave(gpu, shape, { ring });
  await createKvRestore(gpu, shape);
  await createEvictSelect(gpu, shape);
  await createSelectAll(gpu, shape);
  await createKvMove(gpu, shape);
  await createRememberBlock(gpu, shape);
  await createRetention(gpu, shape);
  await createRetainedMass(gpu, shape);
  if (storage === "f16") await createClamped(gpu, shape);
  // Scores read heads by 16 dimensions.
  if (headDim % 16 !== 0) return;
  for (const [label, policy] of Object.entries<Policy>(POLICIES)) {
    name(label);
    await scores(gpu, shape, policy);
  }
  name("second reading");
  await createObserve(gpu, shape, SECOND_READING, { kind: "reread" });
}

/** What a policy scores with, as src/cache/scorer.ts asks for it. */
async function scores(gpu: GpuContext, shape: CacheShape, policy: Policy): Promise<void> {
  const { scoring, observation } = policy;
  const { features = {}, joined } = featureScoring(policy) ?? {};
  const lag = lagOf(policy);
  const targets: ScoreTarget[] = [{ kind: "block" }, { kind: "step", scoring: 3 }];
  for (const target of targets) {
    const later = target.kind === "step";
    if (lag !== undefined) await createLagScores(gpu, shape, lag, target);
    else if (scoring || !later) await createScoreCache(gpu, shape, features, target);
    if (observation && (observation.accumulate || !later))
      await createObserve(gpu, shape, observation, target);
  }
  if (joined) await createJoinedScores(gpu, shape, features, joined.pool);
}
