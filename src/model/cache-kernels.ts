import type { GpuContext } from "../gpu/context.ts";
import type { Kernel } from "../gpu/kernel.ts";
import {
  createAttentionCombine,
  createAttentionDecode,
  createAttentionPrefill,
} from "../kernels/attention/attention.ts";
import type { PrefillOver } from "../kernels/attention/attention-tiling.ts";
import type { CacheShape } from "../kernels/pages/cache-shape.ts";
import { createKvWrite } from "../kernels/pages/kv-write.ts";
import type { ModelConfig } from "./config.ts";

/** Kernels that write and read the cache: of the model they know its shape and norms alone. */
export interface CacheKernels {
  writeChunk: Kernel;
  attendDecode: Kernel;
  combine: Kernel;
  /** Kernels that depend on a layer's sliding window, by its size (0: global). */
  byWindow: ReadonlyMap<number, WindowKernels>;
}

export interface WindowKernels {
  readonly append: Kernel;
  readonly attendPrefill: Readonly<Record<PrefillOver, Kernel>>;
}

/** It can start before the weights are there; some take seconds on software adapters. */
export async function compileCacheKernels(
  gpu: GpuContext,
  shape: CacheShape,
  { architecture, normEpsilon, windows, gains }: ModelConfig,
): Promise<CacheKernels> {
  const qk = { gains, ...(architecture.qkNorm && { normEpsilon }) };
  const [byWindow, attendDecode, combine, writeChunk] = await Promise.all([
    Promise.all(
      [...new Set(windows)].map(async (window) => {
        const attend = (over: PrefillOver) =>
          createAttentionPrefill(gpu, shape, undefined, window, over);
        const [empty, any, append] = await Promise.all([
          attend("empty"),
          attend("any"),
          createKvWrite(gpu, shape, { mode: "append", ring: window > 0, ...qk }),
        ]);
        return [window, { append, attendPrefill: { empty, any } }] as const;
      }),
    ),
    createAttentionDecode(gpu, shape),
    createAttentionCombine(gpu, shape),
    createKvWrite(gpu, shape, { mode: "chunk", ...qk }),
  ]);
  return { writeChunk, attendDecode, combine, byWindow: new Map(byWindow) };
}
