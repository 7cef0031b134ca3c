import logit from "../../shaders/lib/logit.wgsl?raw";
import observe from "../../shaders/observe.wgsl?raw";
import observeLse from "../../shaders/observe_lse.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import type { Kernel } from "../gpu/kernel.ts";
import type { CacheShape } from "./cache-shape.ts";
import { pagedCode } from "./page-code.ts";
import { candidatesCode, type ScoreTarget } from "./score-cache.ts";

const WORKGROUP = 64;

export interface Observation {
  /** Rows of the block on either side that a row's attention is averaged over. */
  readonly pool: number;
  /** Add to the score instead of replacing it. */
  readonly accumulate: boolean;
  /** The most instead of the mean, of the query group's heads and of the neighbouring rows. */
  readonly peaks?: boolean;
}

/** Two kernels that run one after the other; `lse` is f32 [observed queries, H]. */
export interface ObserveKernels {
  /**
   * Bindings: LayerShape, eviction or rows, tables, lanes, qkv, lse, pages, and of a block its scratch.
   * Workgroups: (observed queries, H, rows of the step, or 1).
   */
  readonly lse: Kernel;
  /** The same bindings. Workgroups: (OBSERVE_TILES, G, rows of the step, or 1). */
  readonly mass: Kernel;
}

/** The attention that candidates get from the last queries, as their score. */
export async function createObserve(
  gpu: GpuContext,
  shape: CacheShape,
  { pool, accumulate, peaks = false }: Observation,
  target: ScoreTarget,
): Promise<ObserveKernels> {
  const inBlock = target.kind === "block";
  const constants = {
    WORKGROUP,
    GROUP: shape.heads / shape.kvHeads,
    POOL: pool,
    ACCUMULATE: accumulate,
    PEAKS: peaks,
  };
  const make = (label: string, code: string, lse: "read" | "write"): Promise<Kernel> =>
    gpu.kernel({
      label: `${label} ${target.kind}`,
      code: [pagedCode(shape, constants), ...candidatesCode(shape, target), logit, code],
      bindings: [
        ...(["uniform", inBlock ? "uniform" : "read", "read", "read", "read"] as const),
        lse,
        "write",
        ...(inBlock ? (["write"] as const) : []),
      ],
    });
  const [lse, mass] = await Promise.all([
    make("observe_lse", observeLse, "write"),
    make("observe", observe, "read"),
  ]);
  return { lse, mass };
}
