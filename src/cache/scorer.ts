import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch, Workgroups } from "../gpu/kernel.ts";
import { globalLayers, PAGE_SLOTS } from "../kernels/pages/cache-shape.ts";
import type { HeadScore } from "../kernels/scoring/head-data.ts";
import type { JoinedScores } from "../kernels/scoring/joined-scores.ts";
import type * as Scoring from "../kernels/scoring/scoring.ts";
import type { CacheSettings } from "./budget.ts";
import type { KvPool } from "./kv-pool.ts";
import { type PolicyName, policyOf } from "./policies/index.ts";
import { featureScoring, type HeadKnowledge } from "./policies/policy.ts";
import type { PolicyKernels } from "./policy-kernels.ts";

/** Buffers of others that scores are made from. */
export interface ScoreSources {
  /** Uniform of lib/eviction. */
  readonly eviction: GPUBuffer;
  /** [L]: where each layer has a prompt block's keys and values. */
  readonly blocks: readonly GPUBuffer[];
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
  private readonly kernels: PolicyKernels;
  private readonly sources: ScoreSources;
  /** Scratch for one layer at a time: attention that is left beside the scores, f32 [G, slots], and parts of scores. */
  private readonly scratch = new Map<"observed attention" | "parts of scores", GPUBuffer>();
  private readonly headData = new Map<PolicyName, GPUBuffer>();
  private bound = new Map<PolicyName, Bound[]>();
  private generation = -1;

  constructor(pool: KvPool, kernels: PolicyKernels, sources: ScoreSources) {
    this.pool = pool;
    this.kernels = kernels;
    this.sources = sources;
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

  /** What a policy knows of each head, on the GPU. */
  private headDataOf(name: PolicyName, code: typeof Scoring): GPUBuffer {
    let data = this.headData.get(name);
    if (!data) {
      data = this.writeHeadData(name, code);
      this.headData.set(name, data);
    }
    return data;
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
      bound = this.pool.slabs.map((_, layer) => this.bind(name, layer));
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

  private bind(name: PolicyName, layer: number): Bound {
    const { kvHeads } = this.pool.shape;
    const { eviction, rows, blocks, qkv, lse, ropes } = this.sources;
    const { tables, lanes } = this.pool;
    const shape = this.pool.layerShapes[layer]!;
    const { code, joined, scoreWhole, groups, scoreStep, observeBlock, observeStep } =
      this.kernels.scoring(name).value;
    const attention = policyOf(name).observation?.apart
      ? this.room("observed attention", kvHeads * this.candidates * 4)
      : undefined;
    const given = {
      shape,
      eviction,
      rows,
      tables,
      lanes,
      head_data: this.headDataOf(name, code),
      rope_table: ropes[layer]!,
      qkv,
      lse,
      pages: this.pool.slabs[layer]!,
      chunk: blocks[layer]!,
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
