import type { InferenceEngine } from "../../engine/engine.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { CHUNK_ROWS } from "../../model/buffers.ts";
import { createGpuTimer, type GpuTimer, type TimingMethod } from "./gpu-timer.ts";
import { layoutCases, modelProducts, type ProductScratch } from "./product-cases.ts";
import { fmaDispatch, measureRoofline, type Roofline, rooflineShare } from "./roofline.ts";
import type { Summary } from "./statistics.ts";
import { kernelCases, type StepPlan, stepPlans } from "./step-cases.ts";
import type { Work } from "./work.ts";

/** One kernel's figures. Times are milliseconds of one dispatch. */
export interface KernelResult {
  name: string;
  /** Weight layout, of products. */
  layout?: string;
  /** Dispatches in a step. */
  count: number;
  ms: Summary;
  /** Bytes and flops of one dispatch, where known. */
  work?: Work;
  gflops?: number;
  gbPerS?: number;
  /** Of the roofline, 0 to 1. */
  share?: number;
  boundBy?: "arithmetic" | "memory";
  /** Part of the step's time, 0 to 1. */
  ofStep?: number;
}

export interface StepResult {
  name: string;
  /** Cache slots a head, M. */
  slots: number;
  rows: number;
  /** Milliseconds of the whole step, its dispatches in order. */
  ms: Summary;
  dispatches: number;
  dispatchesPerLayer: number;
  /**
   * Part of the step that goes to scoring keys, writing them and evicting: an upper bound of what a policy
   * costs, since pairs are rotated and written without one too.
   */
  cacheOfStep: number;
  kernels: KernelResult[];
}

export interface KernelReport {
  timing: TimingMethod;
  roofline: Roofline;
  steps: StepResult[];
  /** The gate-and-up product in every weight layout, 1 row and a chunk; one matrix, so it may lie in a cache. */
  layouts: (KernelResult & { rows: number })[];
}

export interface KernelBenchOptions {
  /** Cache slots a head that steps are timed at. */
  histories: readonly number[];
  runs: number;
  report: (label: string, done: number, total: number) => void;
}

/** Time of the dispatches of one kernel that are timed together: all layers of it on a GPU, some on a CPU. */
const SAMPLE_MS = 150;
/** Kernels that rotate, score and write keys and values, and that evict. */
const CACHE_KERNELS = ["kv_write", "evict_select", "kv_move"];

/** Times every kernel of a decode step and of a prompt chunk on the engine's own adapter. */
export async function benchKernels(
  engine: InferenceEngine,
  { histories, runs, report }: KernelBenchOptions,
): Promise<KernelReport> {
  const { config, state } = engine.internals;
  const { gpu } = state;
  report("roofline", 0, 1);
  const timer = await createGpuTimer(gpu, runs, [(await fmaDispatch(gpu)).dispatch]);
  const roofline = await measureRoofline(gpu, timer);
  report("roofline", 1, 1);
  const widest = Math.max(config.hidden, config.mlp, config.heads * config.headDim);
  const scratch = productScratch(gpu, widest, Math.max(3 * widest, config.vocabulary));
  const rows = [1, CHUNK_ROWS];
  const layouts = new Set(
    Object.values(state.runner.transformer.variants).map((variant) => variant.split(" ")[0]!),
  );
  const products = await modelProducts(gpu, config, layouts, scratch, rows);
  const steps: StepResult[] = [];
  for (const slots of histories) {
    const plans = await stepPlans(engine, slots, (done, total) =>
      report(`filling ${slots}`, done, total),
    );
    for (const which of ["chunk", "decode"] as const) {
      const plan = plans[which];
      const cases = kernelCases(plan, products);
      const ms = await timer.time(plan.dispatches);
      const kernels: KernelResult[] = [];
      for (const one of cases) {
        report(plan.name, kernels.length, cases.length);
        kernels.push(await timeCase(timer, roofline, one, ms.median));
      }
      kernels.sort((a, b) => (b.ofStep ?? 0) - (a.ofStep ?? 0));
      const cacheOfStep = kernels
        .filter(({ name }) => CACHE_KERNELS.some((start) => name.startsWith(start)))
        .reduce((sum, { ofStep }) => sum + (ofStep ?? 0), 0);
      steps.push({ ...stepFigures(plan, config.layers), cacheOfStep, ms, kernels });
    }
  }
  const byLayout: KernelReport["layouts"] = [];
  const cases = await layoutCases(gpu, config, scratch, rows);
  for (const one of cases) {
    report("layouts", byLayout.length, cases.length);
    gpu.write(scratch.batch, new Uint32Array([one.rows, 0, 0, 0]));
    byLayout.push({ ...(await timeCase(timer, roofline, one)), rows: one.rows });
  }
  timer.dispose();
  return { timing: timer.method, roofline, steps, layouts: byLayout };
}

function productScratch({ ledger }: GpuContext, inputs: number, outputs: number): ProductScratch {
  const storage = (label: string, words: number): GPUBuffer =>
    ledger.storage("staging", label, words * 4);
  return {
    batch: ledger.uniform("bench batch", new Uint32Array([1, 0, 0, 0])),
    x: storage("bench x", CHUNK_ROWS * inputs),
    normed: storage("bench normed", CHUNK_ROWS * inputs),
    y: storage("bench y", CHUNK_ROWS * outputs),
  };
}

const stepFigures = ({ name, shape, dispatches }: StepPlan, layers: number) => ({
  name,
  slots: shape.slots,
  rows: shape.rows,
  dispatches: dispatches.length,
  // Embedding, head and sampling are no part of a layer.
  dispatchesPerLayer: Math.floor(dispatches.length / layers),
});

async function timeCase(
  timer: GpuTimer,
  roofline: Roofline,
  one: {
    name: string;
    layout?: string;
    dispatches: StepPlan["dispatches"];
    work?: Work;
  },
  stepMs?: number,
): Promise<KernelResult> {
  const { name, layout, dispatches, work } = one;
  const count = dispatches.length;
  const sample = await timer.sample(dispatches, SAMPLE_MS);
  const all = await timer.time(sample);
  const per = (value: number): number => value / sample.length;
  const ms = { ...all, median: per(all.median), min: per(all.min), max: per(all.max) };
  return {
    name,
    ...(layout === undefined ? {} : { layout }),
    count,
    ms,
    ...(work ? figures(work, ms.median, roofline) : {}),
    ...(stepMs === undefined ? {} : { ofStep: (count * ms.median) / stepMs }),
  };
}

const figures = (work: Work, ms: number, roofline: Roofline) => ({
  work,
  gflops: work.flops / ms / 1e6,
  gbPerS: work.bytes / ms / 1e6,
  ...rooflineShare(work, ms, roofline),
});
