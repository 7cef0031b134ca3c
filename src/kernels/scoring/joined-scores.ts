import type { GpuContext } from "../../gpu/context.ts";
import type { Kernel, Wgsl } from "../../gpu/kernel.ts";
import type { CacheShape } from "../pages/cache-shape.ts";
import { pagedConstants } from "../pages/page-code.ts";
import { unroll } from "../unroll.ts";
import { candidatesCode, scoreConstants, scoreWorkgroup, vectorsBeside } from "./score-cache.ts";
import type { ScoreFeatures } from "./score-features.ts";
import { scoreContext, scoreJoin, scoreParts } from "./scoring-code.ts";

/** Workgroups that share the candidates of a kv head where their parts are computed. */
export const PARTS_TILES = 16;

/** Vectors [D] that are kept of a kv head before its candidates' parts. */
const CONTEXT_VECTORS = 6;

/** Bytes of a layer's parts, f32 [G, context and 4 a candidate], with room for `candidates` of a kv head. */
export const partsBytes = ({ kvHeads, headDim }: CacheShape, candidates: number): number =>
  kvHeads * (CONTEXT_VECTORS * headDim + 4 * candidates) * 4;

/**
 * Scores of a prompt's candidates, joined from parts: to be dispatched in this order, after `observe`. Workgroups: (1, G), (PARTS_TILES or any, G), (1, G).
 */
export interface JoinedScores {
  readonly context: Kernel;
  readonly parts: Kernel;
  readonly join: Kernel;
}

/** `pool`: rows of a block on either side whose highest score a row takes. */
export async function createJoinedScores(
  gpu: GpuContext,
  format: CacheShape,
  features: ScoreFeatures,
  pool: number,
  workgroup = scoreWorkgroup(gpu),
): Promise<JoinedScores> {
  // Of the parts, which many workgroups share.
  const parted = scoreConstants(format, features, 64, CONTEXT_VECTORS);
  const { QUERIES } = parted;
  const own: Record<string, number | boolean> = { ...parted, JOINED: true, POOL: pool };
  let together: number = workgroup;
  while (vectorsBeside(together, format) < CONTEXT_VECTORS) together /= 2;
  const candidates = candidatesCode(format, { kind: "block" });
  const make = (label: string, constants: typeof own, code: Wgsl): Promise<Kernel> =>
    gpu.kernel({
      label,
      code: [pagedConstants(format, constants), ...candidates, code],
      stage: "eviction",
    });
  const [context, parts, join] = await Promise.all([
    // No room for queries: workgroup memory takes long to compile.
    make("score_context", { ...own, SHARED: 0, WORKGROUP: together }, scoreContext),
    make("score_parts", own, unroll(scoreParts, { e: QUERIES })),
    make("score_join", { ...own, WORKGROUP: workgroup }, scoreJoin),
  ]);
  return { context, parts, join };
}
