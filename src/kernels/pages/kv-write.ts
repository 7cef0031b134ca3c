import code from "../../../shaders/pages/kv_write.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type Kernel, wgslFloat } from "../../gpu/kernel.ts";
import type { CacheShape } from "./cache-shape.ts";
import { pageCode, pagedConstants } from "./page-code.ts";
import { chunkFormat } from "./page-format.ts";
import { headWorkgroup, victimCode } from "./victim.ts";

/** `append` writes into the lane's pages, `chunk` into the prompt's scratch pages. */
export type KvWriteMode = "append" | "chunk";

export interface KvWriteConfig {
  readonly mode: KvWriteMode;
  /** The layer has a sliding window: the cache is a ring of so many slots as the head's capacity. */
  readonly ring?: boolean;
  /** Gains of each query and key head are one more binding, f32 [2, D]: queries', keys'. */
  readonly gains?: boolean;
  /** Epsilon of an RMSNorm of each query and key head, before its gains. Default: there is none. */
  readonly normEpsilon?: number;
  /** Default: by the adapter, and more where a victim is looked for. */
  readonly workgroup?: number;
}

/**
 * QK-norm, RoPE, key score and KV write in one kernel.
 * Workgroups: (H + G, M).
 */
export function createKvWrite(
  gpu: GpuContext,
  shape: CacheShape,
  {
    mode,
    ring = false,
    gains = false,
    normEpsilon,
    workgroup = headWorkgroup(gpu, mode === "append" && !ring),
  }: KvWriteConfig,
): Promise<Kernel> {
  return gpu.kernel({
    label: `kv_write ${mode}${ring ? " ring" : ""}${gains ? " gains" : ""}${normEpsilon ? " qk-norm" : ""}`,
    code: [
      pagedConstants(shape, {
        WORKGROUP: workgroup,
        SUMMED: Math.min(workgroup, 2 ** Math.ceil(Math.log2(shape.headDim))),
        APPEND: mode === "append",
        RING: ring,
        QK_NORM: normEpsilon !== undefined,
      }),
      `const EPSILON = ${wgslFloat(normEpsilon ?? 0)};`,
      gains ? "@group(0) @binding(8) var<storage, read> gains: array<f32>; // [2, D]" : "",
      `fn gain_of(i: u32) -> f32 { return ${gains ? "gains[i]" : "1.0"}; }`,
      ...pageCode(
        "pages",
        mode === "append" ? shape : chunkFormat(shape),
        "read words",
        "write words",
      ),
      ...victimCode(workgroup),
      code,
    ],
    stage: mode === "append" ? "answer" : "prompt",
  });
}
