import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, type Wgsl, wgslConstants } from "../../gpu/kernel.ts";
import fma from "./fma.wgsl";
import type { GpuTimer } from "./gpu-timer.ts";
import read from "./read.wgsl";
import type { Work } from "./work.ts";

/** What the adapter can do at most, as measured by micro-benchmarks. */
export interface Roofline {
  /** f32 multiply-adds, two operations each. */
  flopsPerS: number;
  /** Reads of a buffer that fits no cache. */
  bytesPerS: number;
  /** The same for each pattern of access. */
  readBytesPerS: { contiguous: number; coalesced: number };
  /** Milliseconds from one dispatch that does nothing to the next that waits for it: no kernel takes less. */
  dispatchMs: number;
}

const GROUP = 64;
const ROUNDS = 1024;
/** Invocations that keep a large GPU busy take a software adapter a second. */
const FEW_GROUPS = 64;
const MANY_GROUPS = 8192;
const FAST_MS = 1;
const READ_BYTES = 64 << 20;
/** For GPUs: their caches hold up to 100 MB, and they want many more invocations. */
const MANY_READ_BYTES = 512 << 20;
const READS = 64;

/** A dispatch of `groups` workgroups of fma.wgsl, and its work. */
export async function fmaDispatch(gpu: GpuContext, groups = FEW_GROUPS): Promise<Measured> {
  return arithmetic(gpu, "bench fma", fma, groups, 128);
}

interface Measured {
  dispatch: Dispatch;
  operations: number;
}

async function arithmetic(
  gpu: GpuContext,
  label: string,
  code: Wgsl,
  groups: number,
  perRound: number,
): Promise<Measured> {
  const kernel = await gpu.kernel({
    label,
    code: [wgslConstants({ ROUNDS }), code],
  });
  const out = gpu.ledger.storage("staging", label, 4096);
  return {
    dispatch: kernel.dispatch({ out }, [groups]),
    operations: groups * GROUP * ROUNDS * perRound,
  };
}

/** Operations per second, with enough workgroups for the adapter. */
async function rate(timer: GpuTimer, make: (groups: number) => Promise<Measured>): Promise<number> {
  const few = await make(FEW_GROUPS);
  const once = await timer.time([few.dispatch]);
  if (once.median >= FAST_MS) return few.operations / (once.min / 1000);
  const many = await make(MANY_GROUPS);
  return many.operations / ((await timer.time([many.dispatch])).min / 1000);
}

/** Bytes per second, of a buffer that is large for the adapter. */
async function readRate(gpu: GpuContext, timer: GpuTimer, contiguous: boolean): Promise<number> {
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  const bytes = (wanted: number): number => Math.min(wanted, 2 ** Math.floor(Math.log2(limit)));
  const few = bytes(READ_BYTES);
  const rate = await readRateOf(gpu, timer, contiguous, few);
  if ((1000 * few) / rate >= FAST_MS) return rate;
  return readRateOf(gpu, timer, contiguous, bytes(MANY_READ_BYTES));
}

async function readRateOf(
  gpu: GpuContext,
  timer: GpuTimer,
  contiguous: boolean,
  bytes: number,
): Promise<number> {
  const invocations = bytes / 16 / READS;
  const kernel = await gpu.kernel({
    label: "bench read",
    code: [wgslConstants({ READS, STRIDE: invocations, CONTIGUOUS: contiguous }), read],
  });
  const data = gpu.ledger.storage("staging", "bench read", bytes);
  const out = gpu.ledger.storage("staging", "bench read out", 4096);
  try {
    // Written once, so that its pages exist: memory never touched may be read from one page of zeros.
    const part = new Float32Array((4 << 20) / 4).fill(1);
    for (let at = 0; at < bytes; at += part.byteLength) gpu.write(data, part, at);
    const time = await timer.time([kernel.dispatch({ data, out }, [invocations / GROUP])]);
    return bytes / (time.min / 1000);
  } finally {
    gpu.ledger.destroy(data);
    gpu.ledger.destroy(out);
  }
}

/** Dispatches of one workgroup that write the same word, so that each waits for the one before, as in a step. */
async function leastDispatch(gpu: GpuContext, timer: GpuTimer): Promise<number> {
  const kernel = await gpu.kernel({
    label: "bench dispatch",
    code: [
      "@group(0) @binding(0) var<storage, read_write> out: array<u32>;",
      "@compute @workgroup_size(1) fn main() { out[0] += 1u; }",
    ],
  });
  const out = gpu.ledger.storage("staging", "bench dispatch", 4);
  const one = kernel.dispatch({ out }, [1]);
  const { median } = await timer.time(Array.from({ length: 64 }, () => one));
  gpu.ledger.destroy(out);
  return median / 64;
}

/** Measures the adapter: a few seconds on a software adapter. The best of the runs counts, as it is a bound. */
export async function measureRoofline(gpu: GpuContext, timer: GpuTimer): Promise<Roofline> {
  const flopsPerS = await rate(timer, (groups) => fmaDispatch(gpu, groups));
  const contiguous = await readRate(gpu, timer, true);
  const coalesced = await readRate(gpu, timer, false);
  const dispatchMs = await leastDispatch(gpu, timer);
  return {
    flopsPerS,
    bytesPerS: Math.max(contiguous, coalesced),
    readBytesPerS: { contiguous, coalesced },
    dispatchMs,
  };
}

export interface Share {
  /** Measured time against the least the roofline allows: 1 is the roofline itself. */
  share: number;
  boundBy: "arithmetic" | "memory";
}

/** How near work that took `ms` comes to the roofline. */
export function rooflineShare(work: Work, ms: number, roofline: Roofline): Share {
  const arithmetic = work.flops / roofline.flopsPerS;
  const memory = work.bytes / roofline.bytesPerS;
  return {
    share: (Math.max(arithmetic, memory) * 1000) / ms,
    boundBy: arithmetic >= memory ? "arithmetic" : "memory",
  };
}
