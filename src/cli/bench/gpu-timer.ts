import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, encodeDispatches } from "../../gpu/kernel.ts";
import { type Summary, summarize } from "./statistics.ts";

/** timestamp: ticks of the device around one pass. difference: wall time of 2n repetitions less that of n. */
export type TimingMethod = "timestamp" | "difference";

/** Least time of a timed pass: far above the 100 us that browsers round timestamps to. */
const LEAST_PASS_MS = 15;
/** Most dispatches of a timed pass. */
const MOST_DISPATCHES = 4000;

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

  /** Milliseconds that `dispatches`, run once, take. */
  async time(dispatches: readonly Dispatch[]): Promise<Summary> {
    let first = await this.once(dispatches, 1);
    // Once more, warm, unless it takes long anyway.
    if (first < 20 * LEAST_PASS_MS) first = await this.once(dispatches, 1);
    first = Math.max(1e-3, first);
    const most = Math.max(1, Math.floor(MOST_DISPATCHES / dispatches.length));
    const repeats = Math.min(most, Math.max(1, Math.ceil(LEAST_PASS_MS / first)));
    const times: number[] = [];
    for (let i = 0; i < this.runs; i += 1) {
      const once = await this.once(dispatches, repeats);
      if (this.method === "timestamp") times.push(once / repeats);
      // What a submit and a wait cost is in both, and cancels.
      else times.push(((await this.once(dispatches, 2 * repeats)) - once) / repeats);
    }
    return summarize(times);
  }

  dispose(): void {
    this.queries?.set.destroy();
    if (this.queries) this.gpu.ledger.destroy(this.queries.resolved);
  }

  /** Milliseconds of one pass of `repeats` repetitions. */
  private async once(dispatches: readonly Dispatch[], repeats: number): Promise<number> {
    const { device } = this.gpu;
    const { queries } = this;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass(
      queries && {
        timestampWrites: {
          querySet: queries.set,
          beginningOfPassWriteIndex: 0,
          endOfPassWriteIndex: 1,
        },
      },
    );
    for (let i = 0; i < repeats; i += 1) encodeDispatches(pass, dispatches);
    pass.end();
    if (queries) encoder.resolveQuerySet(queries.set, 0, 2, queries.resolved, 0);
    const commands = encoder.finish();
    const start = performance.now();
    device.queue.submit([commands]);
    await device.queue.onSubmittedWorkDone();
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
