import fma from "../../../shaders/bench/fma.wgsl?raw";
import read from "../../../shaders/bench/read.wgsl?raw";
import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, wgslConstants } from "../../gpu/kernel.ts";
import type { GpuTimer } from "./gpu-timer.ts";
import type { Work } from "./work.ts";

/** What the adapter can do at most, as measured by micro-benchmarks. */
export interface Roofline {
  /** f32 multiply-adds, two operations each. */
  flopsPerS: number;
  /** Reads of a buffer that fits no cache. */
  bytesPerS: number;
  /** The same for each pattern of access. */
  readBytesPerS: { contiguous: number; coalesced: number };
}

const GROUP = 64;
const ROUNDS = 1024;
/** Invocations that keep a large GPU busy take a software adapter a second. */
const FEW_GROUPS = 64;
const MANY_GROUPS = 8192;
const FAST_MS = 1;
const READ_BYTES = 64 << 20;
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
  code: string,
  groups: number,
  perRound: number,
): Promise<Measured> {
  const kernel = await gpu.kernel({
    label,
    code: [wgslConstants({ ROUNDS }), code],
    bindings: ["write"],
  });
  const out = gpu.ledger.storage("staging", label, 4096);
  return {
    dispatch: { kernel, bindings: kernel.bind(out), workgroups: [groups] },
    operations: groups * GROUP * ROUNDS * perRound,
  };
}

/** Operations a second, with enough workgroups for the adapter. */
async function rate(timer: GpuTimer, make: (groups: number) => Promise<Measured>): Promise<number> {
  const few = await make(FEW_GROUPS);
  const once = await timer.time([few.dispatch]);
  if (once.median >= FAST_MS) return few.operations / (once.min / 1000);
  const many = await make(MANY_GROUPS);
  return many.operations / ((await timer.time([many.dispatch])).min / 1000);
}

async function readRate(gpu: GpuContext, timer: GpuTimer, contiguous: boolean): Promise<number> {
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  const bytes = Math.min(READ_BYTES, 2 ** Math.floor(Math.log2(limit)));
  const invocations = bytes / 16 / READS;
  const kernel = await gpu.kernel({
    label: "bench read",
    code: [wgslConstants({ READS, STRIDE: invocations, CONTIGUOUS: contiguous }), read],
    bindings: ["read", "write"],
  });
  const data = gpu.ledger.storage("staging", "bench read", bytes);
  const out = gpu.ledger.storage("staging", "bench read out", 4096);
  try {
    // Written once, so that its pages exist: memory never touched may be read from one page of zeros.
    const part = new Float32Array((4 << 20) / 4).fill(1);
    for (let at = 0; at < bytes; at += part.byteLength) gpu.write(data, part, at);
    const bindings = kernel.bind(data, out);
    const time = await timer.time([{ kernel, bindings, workgroups: [invocations / GROUP] }]);
    return bytes / (time.min / 1000);
  } finally {
    gpu.ledger.destroy(data);
    gpu.ledger.destroy(out);
  }
}

/** Measures the adapter: a few seconds on a software adapter. The best of the runs counts, as it is a bound. */
export async function measureRoofline(gpu: GpuContext, timer: GpuTimer): Promise<Roofline> {
  const flopsPerS = await rate(timer, (groups) => fmaDispatch(gpu, groups));
  const contiguous = await readRate(gpu, timer, true);
  const coalesced = await readRate(gpu, timer, false);
  return {
    flopsPerS,
    bytesPerS: Math.max(contiguous, coalesced),
    readBytesPerS: { contiguous, coalesced },
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
