import { defined } from "../../defined.ts";
import type { EngineCore } from "../../engine/core.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import type { DeviceState } from "../../engine/state.ts";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { BATCH } from "../../kernels/records.ts";
import { CHUNK_ROWS } from "../../model/buffers.ts";
import { createGpuTimer, GpuTimer, type TimingMethod } from "./gpu-timer.ts";
import { openPlan } from "./plans.ts";
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
  /** Share of the roofline, 0 to 1. */
  share?: number;
  boundBy?: "arithmetic" | "memory";
  /** Part of the step's time, 0 to 1. */
  ofStep?: number;
}

export interface StepResult {
  name: string;
  /** Cache slots per head, M. */
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

/** The kernels of one kind of adapter. */
export interface PlanReport {
  plan: AdapterKind;
  /** Whether this adapter is of that kind. */
  own: boolean;
  steps: StepResult[];
  /** With `layouts`: the gate-and-up product, 1 row and a chunk; one matrix, so it may lie in a cache. */
  layouts: (KernelResult & { rows: number })[];
}

export interface KernelReport {
  timing: TimingMethod;
  roofline: Roofline;
  plans: PlanReport[];
}

export interface KernelBenchOptions {
  /** Kernels of which kinds of adapter are timed, on this one. */
  plans: readonly AdapterKind[];
  /** Cache slots a head that steps are timed at. */
  histories: readonly number[];
  /** Also the largest product of a layer in every weight layout. */
  layouts: boolean;
  runs: number;
  report: (label: string, done: number, total: number) => void;
}

/** Time of the dispatches of one kernel that are timed together: all layers of it on a GPU, some on a CPU. */
const SAMPLE_MS = 150;
/** Kernels that rotate, score and write keys and values, and that evict. */
const CACHE_KERNELS = ["kv_write", "select_all", "evict_select", "kv_move"];

/** Times every kernel of a decode step and of a prompt chunk on the engine's adapter. */
export async function benchKernels(
  engine: InferenceEngine,
  { plans, histories, layouts, runs, report }: KernelBenchOptions,
): Promise<KernelReport> {
  const core = engine.internals;
  const { gpu } = core.state;
  report("roofline", 0, 1);
  const timer = await createGpuTimer(gpu, runs, [(await fmaDispatch(gpu)).dispatch]);
  const roofline = await measureRoofline(gpu, timer);
  timer.dispose();
  report("roofline", 1, 1);
  const reports: PlanReport[] = [];
  for (const plan of plans) {
    const { state, close } = await openPlan(core, plan);
    try {
      const own = new GpuTimer(state.gpu, runs, timer.method === "timestamp");
      const timed = { timer: own, roofline, histories, layouts, report };
      const results = await benchPlan(core, state, timed);
      reports.push({ plan, own: plan === gpu.kind, ...results });
      own.dispose();
    } finally {
      close();
    }
  }
  return { timing: timer.method, roofline, plans: reports };
}

interface PlanBench extends Pick<KernelBenchOptions, "histories" | "layouts" | "report"> {
  timer: GpuTimer;
  roofline: Roofline;
}

async function benchPlan(
  core: EngineCore,
  state: DeviceState,
  { timer, roofline, histories, layouts: wanted, report }: PlanBench,
): Promise<Pick<PlanReport, "steps" | "layouts">> {
  const { config } = core;
  const { gpu } = state;
  const bench = { gpu, config, plan: state.tuning.plan };
  const widest = Math.max(config.hidden, config.mlp, config.heads * config.headDim);
  const scratch = productScratch(gpu, widest, Math.max(3 * widest, config.vocabulary));
  const rows = [1, CHUNK_ROWS];
  const used = new Set(
    Object.values(state.runner.transformer.parts.variants).map((variant) => variant.split(" ")[0]!),
  );
  const products = await modelProducts(bench, used, scratch, rows);
  const steps: StepResult[] = [];
  for (const slots of histories) {
    const plans = await stepPlans(core, state, slots, (done, total) =>
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
      steps.push({ ...stepFigures(plan, config.blocks.length), cacheOfStep, ms, kernels });
    }
    plans.free();
  }
  const layouts: PlanReport["layouts"] = [];
  const cases = wanted ? await layoutCases(bench, scratch, rows) : [];
  for (const one of cases) {
    report("layouts", layouts.length, cases.length);
    gpu.write(scratch.batch, BATCH.pack({ rows: one.rows, first: 0, splits: 0 }));
    layouts.push({ ...(await timeCase(timer, roofline, one)), rows: one.rows });
  }
  return { steps, layouts };
}

function productScratch({ ledger }: GpuContext, inputs: number, outputs: number): ProductScratch {
  const storage = (label: string, words: number): GPUBuffer =>
    ledger.storage("staging", label, words * 4);
  return {
    batch: ledger.uniform("bench batch", BATCH.pack({ rows: 1, first: 0, splits: 0 })),
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
    ...defined({ layout }),
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
