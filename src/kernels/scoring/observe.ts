import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Kernel, Wgsl } from "../../gpu/kernel.ts";
import type { CacheShape } from "../pages/cache-shape.ts";
import { pagedConstants } from "../pages/page-code.ts";
import { unroll } from "../unroll.ts";
import { candidatesCode, type ScoreTarget } from "./score-cache.ts";
import { observe, observeLse } from "./scoring-code.ts";

/** Lines of `observe` that multiply, at most, on software adapters: their compilers take long. */
const MOST_LINES = 256;

/** Candidates of a workgroup there, neighbours on either side included. */
const TILE = 128;

/** Invocations of a workgroup; of an invocation of `observe`, its candidates and its queries at a time. */
function inHand(kind: AdapterKind, { heads, kvHeads, headDim }: CacheShape) {
  if (kind === "gpu") return { workgroup: 64, c: 1, n: 2 };
  const most = (MOST_LINES * 4 * kvHeads) / (headDim * heads);
  const c = most >= 4 ? 4 : most >= 2 ? 2 : 1;
  return { workgroup: TILE / c, c, n: 1 };
}

/** What is seen of a second reading: the most attention of any row of it, and of any head of the group. */
export const SECOND_READING: Observation = { pool: 0, accumulate: false, peaks: true, most: true };

/** Workgroups that share the candidates of a kv head where attention is observed. */
export const OBSERVE_TILES = 16;

/** WGSL: where `observe` leaves the attention of a candidate. */
const LEAVE_AS_SCORE = `
fn leave(kv_head: u32, index: u32, c: Candidate, mass: f32) { set_candidate_score(c, mass); }`;
const LEAVE_APART = `
@group(0) @binding(8) var<storage, read_write> observed: array<f32>;
fn leave(kv_head: u32, index: u32, c: Candidate, mass: f32) {
  observed[kv_head * (arrayLength(&observed) / shape.kv_heads) + index] = mass;
}`;

export interface Observation {
  /** Rows of the block on either side that a row's attention is averaged over. */
  readonly pool: number;
  /** Add to the score instead of replacing it. */
  readonly accumulate: boolean;
  /** The most instead of the mean, of the query group's heads and of the neighbouring rows. */
  readonly peaks?: boolean;
  /** The most of all queries instead of their mean. */
  readonly most?: boolean;
  /** Leave it beside the scores, in a buffer f32 [G, as many as there is room for], instead of as scores. */
  readonly apart?: boolean;
}

/** `lse` is f32 [M, H]: of a block what attention_prefill left of its rows, of a step what the first kernel leaves. */
export interface ObserveKernels {
  /** A step only. Workgroups: (1, G, rows of the step). */
  readonly lse: Kernel | undefined;
  /** Workgroups: (OBSERVE_TILES, G, rows of the step, or 1). */
  readonly mass: Kernel;
}

/** The attention that candidates get from the last queries, as their score. */
export async function createObserve(
  gpu: GpuContext,
  shape: CacheShape,
  { pool, accumulate, peaks = false, most = false, apart = false }: Observation,
  target: ScoreTarget,
  kind: AdapterKind = gpu.kind,
): Promise<ObserveKernels> {
  const inBlock = target.kind !== "step";
  const candidates = candidatesCode(shape, target);
  const { workgroup, c, n } = inHand(kind, shape);
  const constants = {
    WORKGROUP: workgroup,
    CANDIDATES: c,
    QUERIES: n,
    GROUP: shape.heads / shape.kvHeads,
    POOL: pool,
    ACCUMULATE: accumulate,
    PEAKS: peaks,
    MOST: most,
  };
  const make = (label: string, code: Wgsl[]): Promise<Kernel> =>
    gpu.kernel({
      label: `${label} ${target.kind}`,
      code: [pagedConstants(shape, constants), ...candidates, ...code],
      stage: "eviction",
    });
  // A second reading has its own.
  const leave = target.kind === "reread" ? "" : apart ? LEAVE_APART : LEAVE_AS_SCORE;
  const counts = { h: constants.GROUP, c, n, d: shape.headDim / 4 };
  const [lse, mass] = await Promise.all([
    inBlock ? undefined : make("observe_lse", [unroll(observeLse, counts)]),
    make("observe", [leave, unroll(observe, counts)]),
  ]);
  return { lse, mass };
}
