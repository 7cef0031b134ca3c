import code from "../../../shaders/scoring/lag_scores.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import type { Kernel } from "../../gpu/kernel.ts";
import type { CacheShape } from "../pages/cache-shape.ts";
import { pagedConstants } from "../pages/page-code.ts";
import { candidatesCode, type ScoreTarget } from "./score-cache.ts";

/** Invocations of a workgroup, and most tokens per chunk. */
export const LAG_WORKGROUP = 128;

/** Workgroups per kv head among which chunks are shared. */
export const LAG_GROUPS = 8;

/** LagKV's scores. Workgroups: (LAG_GROUPS or any, G, rows of the step, or 1). */
export async function createLagScores(
  gpu: GpuContext,
  format: CacheShape,
  lag: number,
  target: ScoreTarget,
): Promise<Kernel> {
  return gpu.kernel({
    label: `lag_scores ${target.kind}`,
    code: [
      pagedConstants(format, { WORKGROUP: LAG_WORKGROUP, LAG: Math.min(lag, LAG_WORKGROUP) }),
      ...candidatesCode(format, target),
      code,
    ],
    stage: "eviction",
  });
}
