import { WinnowError } from "../../errors.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Kernel, Wgsl } from "../../gpu/kernel.ts";
import type { CacheShape } from "../pages/cache-shape.ts";
import { pageCode, pagedConstants } from "../pages/page-code.ts";
import { chunkFormat, type PageFormat } from "../pages/page-format.ts";
import { unroll } from "../unroll.ts";
import { headStride } from "./head-data.ts";
import { headDataShape, type ScoreFeatures } from "./score-features.ts";
import { block, reread, scoreCache, step } from "./scoring-code.ts";

/** Invocations of a workgroup: on a GPU many, since a kv head has one workgroup. */
export type ScoreWorkgroup = 64 | 256;
export const scoreWorkgroup = ({ kind }: GpuContext): ScoreWorkgroup => (kind === "cpu" ? 64 : 256);

/** Bytes of workgroup storage that every device has. */
const WORKGROUP_BYTES = 16384;

/** How many vectors [D] a workgroup has room for, beside what its threads add up. */
export const vectorsBeside = (workgroup: number, { headDim }: CacheShape): number =>
  Math.floor((WORKGROUP_BYTES - 20 * workgroup) / (4 * headDim));

/**
 * Which candidates: `block`, of an eviction (cache and prompt block, an `eviction` uniform); `reread`, the same, which the
 * chunk of `rows` and `batch` reads once more; `step`, the caches of a decode step's rows (the `rows` buffer) whose lanes
 * name this `scoring`.
 */
export type ScoreTarget =
  | { readonly kind: "block" | "reread" }
  | { readonly kind: "step"; scoring: number };

/** The snippet that says what a scoring or observing kernel works on. */
export function candidatesCode(format: PageFormat, target: ScoreTarget): Wgsl[] {
  const pages = pageCode("pages", format, "read words");
  if (target.kind === "step") return [pages, `const SCORING = ${target.scoring}u;`, step];
  const chunk = pageCode("chunk", chunkFormat(format), "read words");
  return [pages, chunk, target.kind === "block" ? block : reread];
}

/**
 * Constants of the kernels that read keys and values to score them. `context`: vectors that a workgroup shares. Expected queries lie
 * beside them if all of them fit; else each candidate's key is turned instead.
 */
export function scoreConstants(
  format: CacheShape,
  features: ScoreFeatures,
  workgroup: ScoreWorkgroup,
  context: number,
): Record<string, number | boolean> & { readonly QUERIES: number } {
  const { headDim } = format;
  if (headDim % 16 !== 0)
    throw new WinnowError(
      "unsupported_model",
      `heads of ${headDim} dimensions cannot be scored: they must be a multiple of 16`,
      { hint: 'Use the policy "streaming-llm", which needs no scores, or the budget "full".' },
    );
  const data = headDataShape(format, features);
  const queries = data.queries ?? 1;
  const shared = features.moving && context + queries <= vectorsBeside(workgroup, format);
  return {
    WORKGROUP: workgroup,
    HEAD_STRIDE: headStride(data),
    QUERIES: queries,
    CONTEXT: context,
    SHARED: shared ? queries : 0,
    MOVING: features.moving === true,
    PAIR_NORM: features.pairNorm === true,
    QUADRATIC: features.quadratic === true,
    VALUE: features.value === true,
    NOVELTY: features.novelty === true,
  };
}

/** Workgroups: (1, G, rows of the step, or 1). */
export async function createScoreCache(
  gpu: GpuContext,
  format: CacheShape,
  features: ScoreFeatures,
  target: ScoreTarget,
  workgroup = scoreWorkgroup(gpu),
): Promise<Kernel> {
  const constants = { ...scoreConstants(format, features, workgroup, 1), JOINED: false };
  return gpu.kernel({
    label: `score_cache ${target.kind}`,
    code: [
      pagedConstants(format, constants),
      ...candidatesCode(format, target),
      unroll(scoreCache, { e: constants.QUERIES }),
    ],
    stage: "eviction",
  });
}
