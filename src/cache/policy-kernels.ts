import { loadLater } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { Kernel } from "../gpu/kernel.ts";
import { allOf, OnDemand } from "../gpu/on-demand.ts";
import type { CacheShape } from "../kernels/pages/cache-shape.ts";
import type { Select } from "../kernels/pages/eviction.ts";
import type { RememberBlock } from "../kernels/pages/remember-block.ts";
import type { JoinedScores } from "../kernels/scoring/joined-scores.ts";
import type { ObserveKernels } from "../kernels/scoring/observe.ts";
import type { ScoreTarget } from "../kernels/scoring/score-cache.ts";
import type * as Scoring from "../kernels/scoring/scoring.ts";
import { type PolicyName, policyOf } from "./policies/index.ts";
import { featureScoring, lagOf, type Policy } from "./policies/policy.ts";
import { scoringId } from "./policies/scoring-id.ts";

/** A policy's kernels. */
export interface ScoringKernels {
  /** The configuration that they were made with. */
  readonly code: typeof Scoring;
  /** Scores a cache with no block, and a block whose scores are not joined. */
  readonly scoreWhole: Kernel;
  readonly joined: JoinedScores | undefined;
  /** Scores while decoding, for policies whose scores change then. */
  readonly scoreStep: Kernel | undefined;
  /** Workgroups per kv head of each scoring kernel. */
  readonly groups: number;
  readonly observeBlock: ObserveKernels | undefined;
  readonly observeStep: ObserveKernels | undefined;
}

/** The kernels of eviction: what selects, what remembers, and what scores by each policy that is in use. */
export class PolicyKernels {
  readonly select: OnDemand<Select>;
  readonly remember: OnDemand<RememberBlock>;
  private readonly gpu: GpuContext;
  private readonly shape: CacheShape;
  private readonly scorings = new Map<PolicyName, OnDemand<ScoringKernels>>();

  constructor(gpu: GpuContext, shape: CacheShape) {
    this.gpu = gpu;
    this.shape = shape;
    this.select = new OnDemand("what evicts", async () => {
      const load = () => import("../kernels/pages/evict-select.ts");
      return (await loadLater("eviction", load)).createEvictSelect(gpu, shape);
    });
    this.remember = new OnDemand("the sum of what heads drop", async () => {
      const load = () => import("../kernels/pages/remember-block.ts");
      return (await loadLater("what heads drop, in sum", load)).createRememberBlock(gpu, shape);
    });
  }

  /**
   * Undefined where all that a policy needs is compiled; else begins to compile it, and resolves then. `whole`: also
   * what scores a cache that another policy filled, of a policy whose scores are fixed when pairs are written.
   */
  made(name: PolicyName, whole = false): Promise<unknown> | undefined {
    const policy = policyOf(name);
    return allOf([
      this.select.made(),
      policy.remembers ? this.remember.made() : undefined,
      whole || scoresAnew(policy) ? this.scoring(name).made() : undefined,
    ]);
  }

  scoring(name: PolicyName): OnDemand<ScoringKernels> {
    let scoring = this.scorings.get(name);
    if (!scoring) {
      scoring = new OnDemand(`what scores by ${name}`, () =>
        scoringKernels(this.gpu, this.shape, name),
      );
      this.scorings.set(name, scoring);
    }
    return scoring;
  }
}

/** Whether a policy needs more than the score that is written with a pair. */
const scoresAnew = ({ scoring, observation }: Policy): boolean =>
  scoring !== undefined || observation !== undefined;

async function scoringKernels(
  gpu: GpuContext,
  shape: CacheShape,
  name: PolicyName,
): Promise<ScoringKernels> {
  const policy = policyOf(name);
  const { scoring, observation } = policy;
  const block = { kind: "block" } as const;
  const step = { kind: "step", scoring: scoringId(name) } as const;
  const code = await loadLater("scores", () => import("../kernels/scoring/scoring.ts"));
  const { createJoinedScores, createObserve } = code;
  const { create, groups } = await scoreKernels(gpu, shape, policy, code);
  const { features = {}, joined: joins } = featureScoring(policy) ?? {};
  const [scoreWhole, joined, scoreStep, observeBlock, observeStep] = await Promise.all([
    create(block),
    joins && createJoinedScores(gpu, shape, features, joins.pool),
    scoring && create(step),
    observation && createObserve(gpu, shape, observation, block),
    observation?.accumulate ? createObserve(gpu, shape, observation, step) : undefined,
  ]);
  return { code, scoreWhole, joined, scoreStep, groups, observeBlock, observeStep };
}

/** How a policy's scoring kernels are made, and their workgroups per kv head. */
interface ScoreKernels {
  create(target: ScoreTarget): Promise<Kernel>;
  readonly groups: number;
}

async function scoreKernels(
  gpu: GpuContext,
  shape: CacheShape,
  policy: Policy,
  { createScoreCache }: typeof Scoring,
): Promise<ScoreKernels> {
  const lag = lagOf(policy);
  if (lag !== undefined) {
    const { createLagScores, LAG_GROUPS } = await loadLater(
      "scores by chunks",
      () => import("../kernels/scoring/lag-scores.ts"),
    );
    return { create: (target) => createLagScores(gpu, shape, lag, target), groups: LAG_GROUPS };
  }
  const { features = {} } = featureScoring(policy) ?? {};
  return { create: (target) => createScoreCache(gpu, shape, features, target), groups: 1 };
}
