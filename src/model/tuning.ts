/** Times the kernels of the weight products on the device at hand, and remembers which were fastest. Loaded when asked for. */
import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { onGpus, onProcessors } from "../kernels/by-adapter.ts";
import { createLinear, type LinearConfig } from "../kernels/products/linear.ts";
import {
  type ProductPlan,
  type RowVariant,
  TILES,
  type TileVariant,
  usualPlan,
} from "../kernels/products/product-plan.ts";
import { BATCH } from "../kernels/records.ts";
import { seedOf } from "../random.ts";
import { CHUNK_ROWS } from "./buffers.ts";
import type { ModelConfig } from "./config.ts";
import type { ModelWeights } from "./weights.ts";

/**
 * off: kernels by the adapter's kind. fast: the largest product of a layer is timed, on GPUs the deepest too, within
 * 2 s. full: all products of a layer and all tile shapes, within 30 s.
 */
export type TuningMode = "off" | "fast" | "full";

export interface TuningReport {
  readonly mode: TuningMode;
  /** Where the plan comes from: the adapter's kind, measured now, or remembered from an earlier load. */
  readonly source: "adapter" | "measured" | "remembered";
  readonly plan: ProductPlan;
  /** What each variant took, and what was left out; empty where nothing was measured. */
  readonly timings: readonly { variant: string; ms: number }[];
  /** Seconds that it took, compilation included. */
  readonly seconds: number;
}

/** Keeps plans between loads. What cannot be read or written is measured anew. */
export interface TuningStore {
  read(key: string): Promise<string | undefined>;
  write(key: string, value: string): Promise<void>;
}

const BUDGET_MS: Record<Exclude<TuningMode, "off">, number> = { fast: 2000, full: 30_000 };
/** A store that does not answer is not waited for. */
const STORE_MS = 1000;
/** Least part that a variant must save over the adapter's default to take its place: less is noise. */
const MARGIN = 0.9;
const ROUNDS = 5;
/** Milliseconds of one timing: several times what clocks and polls resolve. */
const SPAN_MS = 12;

/** The plan for this device and model, in this order: remembered, measured, the adapter's default. */
export async function tuneProducts(
  gpu: GpuContext,
  config: ModelConfig,
  weights: ModelWeights,
  mode: Exclude<TuningMode, "off">,
  store?: TuningStore,
): Promise<TuningReport> {
  const start = performance.now();
  const seconds = (): number => (performance.now() - start) / 1000;
  const base = { mode, plan: usualPlan(gpu), timings: [] };
  const key = await tuningKey(gpu, weights, mode);
  const plan = parsePlan(await soon(store?.read(key)));
  if (plan) return { ...base, plan, source: "remembered", seconds: seconds() };
  const tuner = new Tuner(gpu, config, weights, mode, start + BUDGET_MS[mode]);
  const row = await tuner.best<RowVariant>(base.plan.row, ROW_VARIANTS, 1, (row) => ({
    ...base.plan,
    row,
  }));
  const tile = await tuner.best<TileVariant>(
    base.plan.tile,
    tileVariants(gpu, mode),
    tileRows(gpu),
    (tile) => ({
      ...base.plan,
      tile,
    }),
  );
  const found = { row, tile };
  soon(store?.write(key, JSON.stringify(found))).catch(() => {});
  return { mode, source: "measured", plan: found, timings: tuner.timings, seconds: seconds() };
}

/** Rows at which tiles are timed: a chunk, or what a software adapter has time for, to which more is no different. */
const tileRows = ({ kind }: GpuContext): number =>
  kind === "cpu" ? Math.min(32, CHUNK_ROWS) : CHUNK_ROWS;

const ROW_VARIANTS: readonly RowVariant[] = ["split-k", "rows"];

/** Software adapters have no workgroup memory nearer than the cache. */
function tileVariants({ kind }: GpuContext, mode: TuningMode): TileVariant[] {
  const all = Object.keys(TILES) as TileVariant[];
  if (kind === "cpu")
    return mode === "full" ? all.filter((tile) => "loop" in TILES[tile]) : ["8x8/8", "8x8/32"];
  if (mode === "full") return all;
  return ["staged 16x32/256", "staged 32x32/256", "staged 64x64/256", "8x8/32"];
}

/** Adapter, shaders and the shapes that are timed: another of any is another case. */
async function tuningKey(
  gpu: GpuContext,
  weights: ModelWeights,
  mode: TuningMode,
): Promise<string> {
  const { vendor, architecture, device, description } = gpu.adapter.info;
  const shapes = Object.values(matrices(weights)).map(
    ({ matrix }) => `${matrix.rows}x${matrix.cols} ${matrix.parts[0]!.layout.name}`,
  );
  const version = await productVersion();
  return [vendor, architecture, device, description, version, mode, ...shapes].join("|");
}

/** Changes whenever a kernel does that is measured on the device: FNV-1a of their sources. */
async function productVersion(): Promise<string> {
  const [{ MATMUL_CODES }, { MATVEC_CODE, STAGED_CODE }] = await Promise.all([
    onProcessors(),
    onGpus(),
  ]);
  return seedOf([...MATMUL_CODES, MATVEC_CODE, STAGED_CODE].flat().join("")).toString(16);
}

function parsePlan(text: string | undefined): ProductPlan | undefined {
  try {
    const { row, tile } = JSON.parse(text ?? "null") as ProductPlan;
    const known = ROW_VARIANTS.includes(row) && Object.hasOwn(TILES, tile);
    return known ? { row, tile } : undefined;
  } catch {
    return undefined;
  }
}

/** The promise's value, or undefined where it fails or takes too long. */
async function soon<T>(promise: Promise<T> | undefined): Promise<T | undefined> {
  if (!promise) return undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), STORE_MS);
  });
  return Promise.race([promise.catch(() => undefined), late]).finally(() => clearTimeout(timer));
}

/** The products of the first layer. */
const matrices = ({ layers: [layer] }: ModelWeights) => ({
  gateUp: { matrix: layer!.gateUp, epilogue: "swiglu" as const },
  qkv: { matrix: layer!.qkv, epilogue: "store" as const },
  output: { matrix: layer!.output, epilogue: "store" as const },
  down: { matrix: layer!.down, epilogue: "store" as const },
});

interface Candidate<T> {
  readonly variant: T;
  readonly dispatches: readonly Dispatch[];
  readonly times: number[];
}

class Tuner {
  readonly timings: { variant: string; ms: number }[] = [];
  private readonly gpu: GpuContext;
  private readonly configs: readonly LinearConfig[];
  private readonly deadline: number;

  constructor(
    gpu: GpuContext,
    { normEpsilon, architecture }: ModelConfig,
    weights: ModelWeights,
    mode: TuningMode,
    deadline: number,
  ) {
    this.gpu = gpu;
    this.deadline = deadline;
    const { gateUp, ...others } = matrices(weights);
    const [layer] = weights.layers;
    // The schedule makes the same products, so that these kernels need not be compiled again.
    const gated: LinearConfig = {
      matrix: gateUp.matrix,
      epilogue: architecture.activation === "gelu" ? "geglu" : "swiglu",
      norm: { gain: layer!.mlpNorm, epsilon: normEpsilon },
    };
    // A GPU's cores may be too many for a short product: of the wide and the deep one it has time for both.
    const quick = gpu.kind === "cpu" ? [gated] : [gated, others.down];
    this.configs = mode === "full" ? [gated, ...Object.values(others)] : quick;
  }

  /** The fastest of `variants` on `rows` rows; `usual` unless another is clearly faster. */
  async best<T extends string>(
    usual: T,
    variants: readonly T[],
    rows: number,
    plan: (variant: T) => ProductPlan,
  ): Promise<T> {
    const { ledger } = this.gpu;
    const created: GPUBuffer[] = [];
    const storage = (floats: number): GPUBuffer => {
      const buffer = ledger.storage("staging", "tuning", floats * 4);
      created.push(buffer);
      return buffer;
    };
    try {
      const batch = ledger.uniform("tuning", BATCH.pack({ rows, first: 0, splits: 0 }));
      created.push(batch);
      const widest = Math.max(
        ...this.configs.map(({ matrix }) => Math.max(matrix.rows, matrix.cols)),
      );
      const buffers = {
        batch,
        x: storage(rows * widest),
        y: storage(rows * widest),
        normed: storage(rows * widest),
      };
      const candidates: Candidate<T>[] = [];
      let compiling = 0;
      for (const variant of [usual, ...variants.filter((each) => each !== usual)]) {
        const start = performance.now();
        // The usual one is needed whatever comes out; others must fit what is left.
        if (variant !== usual && start + compiling > this.deadline) break;
        const dispatches: Dispatch[] = [];
        for (const config of this.configs) {
          const linear = await createLinear(this.gpu, {
            ...config,
            shape: plan(variant),
            rows: [rows],
          });
          dispatches.push(...linear.bind(buffers).dispatches(rows));
        }
        compiling = Math.max(compiling, performance.now() - start);
        candidates.push({ variant, dispatches, times: [] });
      }
      if (candidates.length > 1) await this.time(candidates);
      const of = (candidate: Candidate<T>): number => median(candidate.times);
      for (const candidate of candidates)
        if (candidate.times.length > 0)
          this.timings.push({ variant: `${candidate.variant}, ${rows} rows`, ms: of(candidate) });
      const [first, ...rest] = candidates;
      let best = first!;
      for (const candidate of rest)
        if (candidate.times.length > 0 && of(candidate) < (best === first ? MARGIN : 1) * of(best))
          best = candidate;
      return best.variant;
    } finally {
      for (const buffer of created) ledger.destroy(buffer);
    }
  }

  /** Times the candidates in turns, so that what slows the machine down slows all of them. */
  private async time<T>(candidates: readonly Candidate<T>[]): Promise<void> {
    const repeats = new Map<Candidate<T>, number>();
    for (const candidate of candidates) {
      await this.once(candidate.dispatches, 1);
      let repeat = 1;
      while (repeat < 4096 && (await this.once(candidate.dispatches, repeat)) < SPAN_MS)
        repeat *= 2;
      repeats.set(candidate, repeat);
    }
    for (let round = 0; round < ROUNDS; round += 1)
      for (const candidate of candidates) {
        // One round at least, so that all can be compared.
        if (round > 0 && performance.now() > this.deadline) return;
        const repeat = repeats.get(candidate)!;
        candidate.times.push((await this.once(candidate.dispatches, repeat)) / repeat);
      }
  }

  private async once(dispatches: readonly Dispatch[], repeat: number): Promise<number> {
    const all = Array.from({ length: repeat }, () => dispatches).flat();
    const start = performance.now();
    this.gpu.run(all);
    await this.gpu.done();
    return performance.now() - start;
  }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.POSITIVE_INFINITY;
}
