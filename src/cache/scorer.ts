import { loadLater } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch, Kernel, Workgroups } from "../gpu/kernel.ts";
import { type CacheShape, globalLayers, PAGE_SLOTS } from "../kernels/pages/cache-shape.ts";
import type { HeadScore } from "../kernels/scoring/head-data.ts";
import type { JoinedScores } from "../kernels/scoring/joined-scores.ts";
import type { ObserveKernels } from "../kernels/scoring/observe.ts";
import type { ScoreTarget } from "../kernels/scoring/score-cache.ts";
import type * as Scoring from "../kernels/scoring/scoring.ts";
import type { CacheSettings } from "./budget.ts";
import type { KvPool } from "./kv-pool.ts";
import { type PolicyName, policyOf } from "./policies/index.ts";
import { featureScoring, type HeadKnowledge, lagOf, type Policy } from "./policies/policy.ts";
import { scoringId } from "./policies/scoring-id.ts";

/** Buffers of others that scores are made from. */
export interface ScoreSources {
  /** Uniform of lib/eviction. */
  readonly eviction: GPUBuffer;
  /** The prompt block's scratch. */
  readonly block: GPUBuffer;
  /** Row [M] of a decode step. */
  readonly rows: GPUBuffer;
  /** f32 [M, (H + 2G) D], queries turned. */
  readonly qkv: GPUBuffer;
  /** f32 [M, H]: of attention, ln of the sum of exp(logit). */
  readonly lse: GPUBuffer;
  /** [L]: each layer's RoPE table. */
  readonly ropes: readonly GPUBuffer[];
  /** [L][G]; of layers with a window nothing is asked. */
  readonly knowledge: readonly (readonly HeadKnowledge[])[];
  /** Rows of the largest prompt block. */
  readonly blockRows: number;
}

/** A policy's kernels. */
interface ScoringKernels {
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

/** A policy's kernels, compiled, and what it knows of each head, on the GPU. */
interface Prepared extends ScoringKernels {
  readonly policy: Policy;
  readonly headData: GPUBuffer;
}

/** Whether a policy needs more than the score that is written with a pair. */
const scoresAnew = ({ scoring, observation }: Policy): boolean =>
  scoring !== undefined || observation !== undefined;

/** Compiles what a policy that scores anew will need: can start before anything else is there. */
export async function compileScoring(
  gpu: GpuContext,
  shape: CacheShape,
  name: PolicyName,
): Promise<void> {
  if (scoresAnew(policyOf(name))) await scoringKernels(gpu, shape, name);
}

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

/** A layer's bind groups under one policy. */
interface Bound {
  readonly scoreBlock: Dispatch[];
  readonly scoreWhole: Dispatch;
  readonly scoreStep: Dispatch | undefined;
  readonly observeBlock: Dispatch[];
  readonly observeStep: Dispatch[];
}

/**
 * Scores that are not fixed when a pair is written: each policy's kernels and head data, and the dispatches
 * that apply them to a prompt block, a decode step, or a whole cache. Layers with a window take no part.
 */
export class Scorer {
  private readonly pool: KvPool;
  private readonly sources: ScoreSources;
  /** Scratch for one layer at a time: attention that is left beside the scores, f32 [G, slots], and parts of scores. */
  private readonly scratch = new Map<"observed attention" | "parts of scores", GPUBuffer>();
  private readonly preparing = new Map<PolicyName, Promise<void>>();
  private readonly prepared = new Map<PolicyName, Prepared>();
  private bound = new Map<PolicyName, Bound[]>();
  private generation = -1;

  constructor(pool: KvPool, sources: ScoreSources) {
    this.pool = pool;
    this.sources = sources;
  }

  /** Compiles what a policy needs, once; to be awaited before a sequence uses it. */
  async prepare(name: PolicyName): Promise<void> {
    if (scoresAnew(policyOf(name))) await this.prepareWhole(name);
  }

  /** Whether `prepare` has been through, or has nothing to do. */
  isPrepared(name: PolicyName): boolean {
    return this.prepared.has(name) || !scoresAnew(policyOf(name));
  }

  /** Compiles what scores a whole cache by a policy: also one whose scores are fixed when pairs are written. */
  prepareWhole(name: PolicyName): Promise<void> {
    let preparing = this.preparing.get(name);
    if (!preparing) {
      preparing = this.compile(name).then((prepared) => {
        this.prepared.set(name, prepared);
      });
      preparing.catch(() => this.preparing.delete(name));
      this.preparing.set(name, preparing);
    }
    return preparing;
  }

  /** How many of a prompt chunk's rows are observed. */
  observed(name: PolicyName, rows: number): number {
    return Math.min(rows, policyOf(name).observation?.queries ?? 0);
  }

  /**
   * Scores a layer's cache and the prompt block, whose last rows may be observed. Of a layer kept whole
   * only what cannot be made later: attention that is the score itself.
   */
  block({ policy, wholeLayers }: CacheSettings, layer: number): Dispatch[] {
    const { scoring, observation } = policyOf(policy);
    if ((!scoring && !observation) || !this.layers.includes(layer)) return [];
    if (scoring && layer < wholeLayers) return [];
    const bound = this.of(policy)[layer]!;
    return [...bound.observeBlock, ...(scoring ? bound.scoreBlock : [])];
  }

  /** Scores the caches of a decode step's rows before their tokens are appended: the layers from `first` on. */
  step(name: PolicyName, rows: number, first: number): Dispatch[] {
    if (!policyOf(name).scoring) return [];
    return this.layersFrom(first).map((layer) => atRows(this.of(name)[layer]!.scoreStep!, rows));
  }

  /** Adds up the attention that a decode step's rows have just paid, in one layer. */
  observeStep(name: PolicyName, layer: number, rows: number): Dispatch[] {
    if (!policyOf(name).observation?.accumulate || !this.layers.includes(layer)) return [];
    return this.of(name)[layer]!.observeStep.map((dispatch) => atRows(dispatch, rows));
  }

  /** Scores a whole cache anew, with the eviction's rows 0 and `all` set: after a change of settings. */
  whole({ policy, wholeLayers }: CacheSettings): Dispatch[] {
    return this.layersFrom(wholeLayers).map((layer) => this.of(policy)[layer]!.scoreWhole);
  }

  private get gpu(): GpuContext {
    return this.pool.gpu;
  }

  /** The layers without a sliding window. */
  private get layers(): number[] {
    return globalLayers(this.pool.shape);
  }

  private layersFrom(first: number): number[] {
    return this.layers.filter((layer) => layer >= first);
  }

  private async compile(name: PolicyName): Promise<Prepared> {
    const policy = policyOf(name);
    const kernels = await scoringKernels(this.gpu, this.pool.shape, name);
    return { ...kernels, policy, headData: this.writeHeadData(name, kernels.code) };
  }

  private writeHeadData(
    name: PolicyName,
    { headDataShape, headStride, writeHeadScore }: typeof Scoring,
  ): GPUBuffer {
    const policy = policyOf(name);
    const scoring = featureScoring(policy);
    const { layers, kvHeads } = this.pool.shape;
    const shape = headDataShape(this.pool.shape, scoring?.features ?? {});
    const stride = headStride(shape);
    const data = new Float32Array(layers * kvHeads * stride);
    for (const layer of this.layers) {
      this.sources.knowledge[layer]!.forEach((knowledge, g) => {
        const at = (layer * kvHeads + g) * stride;
        const head: HeadScore = scoring?.head(knowledge) ?? {
          ...policy.score,
          ...(knowledge.filter ? { filter: knowledge.filter } : {}),
        };
        writeHeadScore(head, shape, data.subarray(at, at + stride));
      });
    }
    const buffer = this.gpu.ledger.storage("weights", `head data of ${name}`, data.byteLength);
    this.gpu.write(buffer, data);
    return buffer;
  }

  /** Bind groups are made anew when the pool has changed a buffer. */
  private of(name: PolicyName): Bound[] {
    if (this.generation !== this.pool.generation) {
      this.generation = this.pool.generation;
      this.bound = new Map();
    }
    let bound = this.bound.get(name);
    if (!bound) {
      const prepared = this.prepared.get(name)!;
      bound = this.pool.slabs.map((_, layer) => this.bind(prepared, layer));
      this.bound.set(name, bound);
    }
    return bound;
  }

  /** Every slot of a kv head and row of a block. */
  private get candidates(): number {
    return this.pool.maxPages * PAGE_SLOTS + this.sources.blockRows;
  }

  private room(name: "observed attention" | "parts of scores", bytes: number): GPUBuffer {
    const { ledger } = this.gpu;
    const old = this.scratch.get(name);
    if (old && old.size >= bytes) return old;
    if (old) ledger.destroy(old);
    const buffer = ledger.storage("activations", name, bytes);
    this.scratch.set(name, buffer);
    return buffer;
  }

  private bind(prepared: Prepared, layer: number): Bound {
    const { kvHeads } = this.pool.shape;
    const { eviction, rows, block, qkv, lse, ropes } = this.sources;
    const { tables, lanes } = this.pool;
    const shape = this.pool.layerShapes[layer]!;
    const { code, policy, headData, joined, scoreWhole, groups } = prepared;
    const { scoreStep, observeBlock, observeStep } = prepared;
    const attention = policy.observation?.apart
      ? this.room("observed attention", kvHeads * this.candidates * 4)
      : undefined;
    const given = {
      shape,
      eviction,
      rows,
      tables,
      lanes,
      head_data: headData,
      rope_table: ropes[layer]!,
      qkv,
      lse,
      pages: this.pool.slabs[layer]!,
      chunk: block,
      observed: attention,
    };
    const whole = scoreWhole.dispatch(given, [groups, kvHeads]);
    const join = ({ context, parts, join: last }: JoinedScores): Dispatch[] => {
      const room = this.room("parts of scores", code.partsBytes(this.pool.shape, this.candidates));
      const buffers = { ...given, joined: room };
      return [
        context.dispatch(buffers, [1, kvHeads]),
        parts.dispatch(buffers, [code.PARTS_TILES, kvHeads]),
        last.dispatch(buffers, [1, kvHeads]),
      ];
    };
    const observe: Workgroups = [code.OBSERVE_TILES, kvHeads];
    return {
      scoreBlock: joined ? join(joined) : [whole],
      scoreWhole: whole,
      scoreStep: scoreStep?.dispatch(given, [groups, kvHeads]),
      observeBlock: observeBlock ? [observeBlock.mass.dispatch(given, observe)] : [],
      observeStep: observeStep?.lse
        ? [observeStep.lse.dispatch(given, [1, kvHeads]), observeStep.mass.dispatch(given, observe)]
        : [],
    };
  }
}

const atRows = (dispatch: Dispatch, rows: number): Dispatch => {
  const [x, y = 1] = dispatch.workgroups;
  return { ...dispatch, workgroups: [x, y, rows] };
};
