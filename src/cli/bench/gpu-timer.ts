import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, encodeDispatches } from "../../gpu/kernel.ts";
import { type Summary, summarize } from "./statistics.ts";

/** timestamp: ticks of the device around one pass. difference: wall time of 2n repetitions less that of n. */
export type TimingMethod = "timestamp" | "difference";

/** Least time of a timed pass: far above the 100 us that browsers round timestamps to. */
const LEAST_PASS_MS = 15;
/** Most dispatches of a timed submit. */
const MOST_DISPATCHES = 4000;

/** Puts back what dispatches change, before each repetition: copies between passes. */
export type Reset = (encoder: GPUCommandEncoder) => void;

/** What is timed: dispatches in order, and what they need put back. */
export interface Timed {
  dispatches: readonly Dispatch[];
  reset?: Reset;
}

/** Times lists of dispatches on the device. */
export class GpuTimer {
  readonly method: TimingMethod;
  private readonly gpu: GpuContext;
  private readonly runs: number;
  private readonly queries: { set: GPUQuerySet; resolved: GPUBuffer } | undefined;

  /** `runs`: timings whose median counts. `timestamps` false measures by difference. */
  constructor(gpu: GpuContext, runs: number, timestamps: boolean) {
    this.gpu = gpu;
    this.runs = runs;
    this.method =
      timestamps && gpu.device.features.has("timestamp-query") ? "timestamp" : "difference";
    if (this.method === "difference") return;
    this.queries = {
      set: gpu.device.createQuerySet({ type: "timestamp", count: 2 }),
      resolved: gpu.ledger.create(
        "staging",
        "timestamps",
        16,
        GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
      ),
    };
  }

  /** The first few of `dispatches`, all alike, that take about `ms` together; at least two. */
  async sample(dispatches: readonly Dispatch[], ms: number): Promise<readonly Dispatch[]> {
    await this.once(dispatches.slice(0, 1), 1);
    const first = await this.once(dispatches.slice(0, 1), 1);
    return dispatches.slice(0, Math.max(2, Math.ceil(ms / Math.max(1e-3, first))));
  }

  /** Milliseconds that `dispatches`, run once, take; a reset is left out where it can be told apart. */
  async time(dispatches: readonly Dispatch[], reset?: Reset): Promise<Summary> {
    return (await this.timeInTurns([{ dispatches, ...(reset && { reset }) }]))[0]!;
  }

  /** The same of several, run in turns, so that what slows the machine down slows all of them. */
  async timeInTurns(cases: readonly Timed[]): Promise<Summary[]> {
    const repeats: number[] = [];
    for (const one of cases) repeats.push(await this.repeatsFor(one));
    const times = cases.map((): number[] => []);
    for (let i = 0; i < this.runs; i += 1)
      for (const [at, { dispatches, reset }] of cases.entries()) {
        const n = repeats[at]!;
        const once = await this.once(dispatches, n, reset);
        if (this.method === "timestamp") times[at]!.push(once / n);
        // What a submit and a wait cost is in both, and cancels.
        else times[at]!.push(((await this.once(dispatches, 2 * n, reset)) - once) / n);
      }
    return times.map(summarize);
  }

  /** Repetitions that take long enough to be timed, warm. */
  private async repeatsFor({ dispatches, reset }: Timed): Promise<number> {
    const most = Math.max(1, Math.floor(MOST_DISPATCHES / dispatches.length));
    const first = await this.once(dispatches, 1, reset);
    if (first >= 20 * LEAST_PASS_MS) return 1;
    // In small steps: what a submit costs, or what timestamps are rounded to, hides how long one takes.
    for (let repeats = 1; ; repeats = Math.min(most, 4 * repeats)) {
      const took = await this.once(dispatches, repeats, reset);
      if (took >= LEAST_PASS_MS || repeats === most) return repeats;
    }
  }

  dispose(): void {
    this.queries?.set.destroy();
    if (this.queries) this.gpu.ledger.destroy(this.queries.resolved);
  }

  /** Milliseconds of `repeats` repetitions: one pass, or with a reset one pass each. */
  private async once(
    dispatches: readonly Dispatch[],
    repeats: number,
    reset?: Reset,
  ): Promise<number> {
    const { device } = this.gpu;
    const { queries } = this;
    const encoder = device.createCommandEncoder();
    const passes = reset ? repeats : 1;
    for (let i = 0; i < passes; i += 1) {
      reset?.(encoder);
      const writes = {
        ...(i === 0 && { beginningOfPassWriteIndex: 0 }),
        ...(i === passes - 1 && { endOfPassWriteIndex: 1 }),
      };
      const stamped = queries && Object.keys(writes).length > 0;
      const pass = encoder.beginComputePass(
        stamped ? { timestampWrites: { querySet: queries.set, ...writes } } : {},
      );
      for (let n = 0; n < repeats / passes; n += 1) encodeDispatches(pass, dispatches);
      pass.end();
    }
    if (queries) encoder.resolveQuerySet(queries.set, 0, 2, queries.resolved, 0);
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await this.gpu.done();
    const wall = performance.now() - start;
    if (!queries) return wall;
    const [begin, end] = new BigUint64Array(await this.gpu.read(queries.resolved));
    return Number(end! - begin!) / 1e6;
  }
}

/**
 * A timer by timestamps where they can be believed, else by difference: some software adapters offer
 * timestamp-query and stamp when commands are recorded. `probe` must take some milliseconds.
 */
export async function createGpuTimer(
  gpu: GpuContext,
  runs: number,
  probe: readonly Dispatch[],
): Promise<GpuTimer> {
  const byDifference = new GpuTimer(gpu, runs, false);
  const byTimestamp = new GpuTimer(gpu, runs, true);
  if (byTimestamp.method === "difference") return byDifference;
  const [stamped, differed] = [await byTimestamp.time(probe), await byDifference.time(probe)];
  const ratio = stamped.min / differed.min;
  if (ratio > 0.5 && ratio < 2) return byTimestamp;
  byTimestamp.dispose();
  return byDifference;
}
