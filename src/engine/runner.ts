import type { Compressor } from "../cache/compressor.ts";
import type { KvSequence } from "../cache/kv-sequence.ts";
import { type PolicyName, policyOf } from "../cache/policies/index.ts";
import { scoringId, scoringTurn } from "../cache/policies/scoring-id.ts";
import type { Scorer } from "../cache/scorer.ts";
import type { GpuContext } from "../gpu/context.ts";
import { type Dispatch, encodePass } from "../gpu/kernel.ts";
import type { LaterStage } from "../gpu/staged-kernels.ts";
import { decodeSplits, LANE_SPLITS } from "../kernels/attention-tiling.ts";
import { FEW_ROWS } from "../kernels/linear.ts";
import { BATCH, consecutiveRows, ROW } from "../kernels/records.ts";
import type { DraftSteps } from "../model/draft-steps.ts";
import type { Transformer } from "../model/transformer.ts";
import { Prompts } from "./prompts.ts";

/** Where the GPU finds a token that is not known here yet: one u32. */
export interface TokenSource {
  readonly buffer: GPUBuffer;
  readonly offset: number;
}

/** One sequence's part of a step in which several sequences take a token each. */
export interface LaneToken {
  readonly sequence: KvSequence;
  readonly token: number;
}

/**
 * Puts tokens through the transformer: the one place where a step is written, encoded and submitted.
 * Every method that submits is synchronous from the sequence's `reserve` to its `advance`, so that at any
 * `await` of a caller the host's books and the GPU's queue agree, and settings may change in between.
 */
export class Runner {
  readonly gpu: GpuContext;
  readonly transformer: Transformer;
  readonly compressor: Compressor;
  readonly scorer: Scorer;
  /** Steps of several tokens, once `prepareDrafts` has compiled them. */
  drafts: DraftSteps | undefined;
  readonly prompts: Prompts;
  /** The words that the batch's uniform holds now. */
  private batchKey = "";

  constructor(gpu: GpuContext, transformer: Transformer, compressor: Compressor, scorer: Scorer) {
    this.gpu = gpu;
    this.transformer = transformer;
    this.compressor = compressor;
    this.scorer = scorer;
    this.prompts = new Prompts(this);
  }

  /** Compiles what a policy needs, once; `whole`: to score a cache that another policy filled. */
  async prepare(policy: PolicyName, whole = false): Promise<void> {
    const { scorer, compressor } = this;
    const scoring = whole ? scorer.prepareWhole(policy) : scorer.prepare(policy);
    await Promise.all([scoring, compressor.prepare(policy)]);
  }

  /** Submits one token of a sequence, then `after` (head, sampling...) in the same command buffer. */
  submitToken(
    sequence: KvSequence,
    token: number | TokenSource,
    after: readonly Dispatch[] = [],
    copy?: (encoder: GPUCommandEncoder) => void,
  ): void {
    this.divide(sequence, 1);
    const { policy, wholeLayers } = sequence.settings;
    const due = isDue(sequence);
    sequence.reserve(1);
    // Bound after that: a slab that grows is another buffer.
    const scoring = due ? this.scorer.step(policy, 1, wholeLayers) : [];
    const { rows } = this.transformer.buffers;
    const known = typeof token === "number" ? token : 0;
    this.gpu.write(rows, consecutiveRows([known], sequence.tokensSeen, sequence.lane));
    sequence.advance(1);
    const splits = decodeSplits(sequence.longest);
    this.writeBatch(1, splits);
    this.writeHead(1, 0);
    const fetch =
      typeof token === "number"
        ? undefined
        : (encoder: GPUCommandEncoder): void =>
            encoder.copyBufferToBuffer(token.buffer, token.offset, rows, 0, 4);
    const observe = policyOf(policy).observation?.accumulate
      ? (layer: number) => this.scorer.observeStep(policy, layer, 1)
      : undefined;
    const step = this.transformer.decode(1, splits, observe);
    this.submit([...scoring, ...step, ...after], copy, fetch);
  }

  async prepareDrafts(): Promise<void> {
    await this.gpu.kernels.compiled("answer");
    this.drafts = await this.transformer.prepareDrafts();
  }

  /**
   * How many of `wanted` tokens can be run in one step: attention must be split alike for each, and neither may the
   * cache be scored between them, nor observed, nor heads get budgets of their own.
   */
  draftRows(sequence: KvSequence, wanted: number): number {
    const { observation } = policyOf(sequence.settings.policy);
    if (observation?.accumulate || sequence.dividesWith(wanted)) return 1;
    const splits = (row: number): number => decodeSplits(sequence.longestAfter(row + 1));
    let rows = 1;
    while (rows < wanted && splits(rows) === splits(0) && !isDue(sequence, rows)) rows += 1;
    return rows;
  }

  /**
   * Submits several tokens of a sequence as one step, which leaves what as many steps of one token would, then
   * `after`. At most `draftRows` of them.
   */
  submitDraft(
    steps: DraftSteps,
    sequence: KvSequence,
    tokens: readonly number[],
    after: readonly Dispatch[],
    copy: (encoder: GPUCommandEncoder) => void,
  ): void {
    const due = isDue(sequence);
    sequence.reserve(tokens.length);
    const { policy, wholeLayers } = sequence.settings;
    const scoring = due ? this.scorer.step(policy, 1, wholeLayers) : [];
    steps.write(tokens, sequence.tokensSeen, sequence.lane);
    sequence.advance(tokens.length);
    const splits = decodeSplits(sequence.longest);
    this.writeBatch(tokens.length, splits);
    this.writeHead(tokens.length, 0);
    this.submit([...scoring, ...steps.step(tokens.length, splits), ...after], (encoder) => {
      copy(encoder);
      const { hidden } = this.transformer.buffers;
      encoder.copyBufferToBuffer(hidden, 0, steps.kept, 0, steps.kept.size);
    });
  }

  /**
   * Submits one token of each of several sequences, through one pass over the weights; what a sequence gets
   * does not depend on the others. `transformer.prepareLanes` must have made room. The rows of the residual
   * stream are in this order. `after`: what comes behind each layer's attention.
   */
  submitLanes(
    tokens: readonly LaneToken[],
    after?: (layer: number, rows: number) => Dispatch[],
  ): void {
    for (const { sequence } of tokens) this.divide(sequence, 1);
    const policies = new Set(tokens.map(({ sequence }) => sequence.settings.policy));
    // The first layer that is due, by policy.
    const due = new Map<PolicyName, number>();
    for (const { sequence } of tokens) {
      const { policy, wholeLayers } = sequence.settings;
      if (isDue(sequence)) due.set(policy, Math.min(wholeLayers, due.get(policy) ?? wholeLayers));
    }
    for (const { sequence } of tokens) sequence.reserve(1);
    const scoring = [...due].flatMap(([policy, first]) =>
      this.scorer.step(policy, tokens.length, first),
    );
    const words = tokens.map(({ sequence: { tokensSeen: position, lane }, token }) => ({
      token,
      position,
      lane,
      block_row: 0,
    }));
    this.gpu.write(this.transformer.buffers.rows, ROW.pack(...words));
    for (const { sequence } of tokens) sequence.advance(1);
    this.writeBatch(tokens.length, LANE_SPLITS);
    const observed = [...policies].filter((policy) => policyOf(policy).observation?.accumulate);
    const observe = (layer: number): Dispatch[] => [
      ...observed.flatMap((policy) => this.scorer.observeStep(policy, layer, tokens.length)),
      ...(after?.(layer, tokens.length) ?? []),
    ];
    const observes = observed.length > 0 || after !== undefined;
    const step = this.transformer.lanes(tokens.length, observes ? observe : undefined);
    this.submit([...scoring, ...step]);
  }

  /** Like `submitHead`, but each row has the same bits whatever rows are beside it. */
  submitLaneHead(rows: number, first: number, after: readonly Dispatch[] = []): void {
    this.writeHead(rows, first);
    this.submit([...this.transformer.laneHead(rows), ...after]);
  }

  /**
   * Submits a prompt chunk of at most CHUNK_ROWS tokens: attends, then evicts. With `capture` the residual
   * stream [M, E] that enters layer l and its qkv rows [M, (H + 2G) D], queries rotated, are copied to it, one
   * after the other, at l * M * (E + (H + 2G) D) * 4.
   */
  submitChunk(sequence: KvSequence, tokens: readonly number[], capture?: GPUBuffer): void {
    const count = tokens.length;
    this.divide(sequence, count);
    sequence.reserve(count);
    const start = sequence.tokensSeen;
    const { rows, qkv, hidden } = this.transformer.buffers;
    this.gpu.write(rows, consecutiveRows(tokens, start, sequence.lane));
    this.writeBatch(count, 1);
    const { policy } = sequence.settings;
    const queries = this.scorer.observed(policy, count);
    this.compressor.target(sequence, count, start + count - 1, {
      queries,
      firstQuery: count - queries,
    });
    const scored = this.scores(sequence, count);
    const how = { evicts: sequence.evictsWith(count), policy };
    const absorb = (layer: number): Dispatch[] => [
      ...(scored ? this.scorer.block(sequence.settings, layer) : []),
      ...this.compressor.absorb(layer, how),
    ];
    const { embed, layers } = this.transformer.chunk(count, start === 0 ? "empty" : "any");
    if (!capture) {
      this.submit([
        ...embed,
        ...layers.flatMap(({ project, attend }, l) => [...project, ...attend, ...absorb(l)]),
      ]);
    } else {
      const { heads, kvHeads, headDim, hidden: width } = this.transformer.config;
      const entering = count * width * 4;
      const bytes = count * (heads + 2 * kvHeads) * headDim * 4;
      const encoder = this.gpu.device.createCommandEncoder();
      encodePass(encoder, embed);
      layers.forEach(({ project, attend }, layer) => {
        const at = layer * (entering + bytes);
        encoder.copyBufferToBuffer(hidden, 0, capture, at, entering);
        encodePass(encoder, project);
        encoder.copyBufferToBuffer(qkv, 0, capture, at + entering, bytes);
        encodePass(encoder, [...attend, ...absorb(layer)]);
      });
      this.gpu.device.queue.submit([encoder.finish()]);
    }
    sequence.advance(count);
  }

  /** Evicts down to the sequence's capacity and gives the memory back. */
  shrink(sequence: KvSequence): void {
    const { settings } = sequence;
    const { scoring } = policyOf(settings.policy);
    this.compressor.shrink(sequence, scoring && (() => this.scorer.whole(settings)));
  }

  /** Scores every cached pair by the sequence's present policy, which must be prepared; `anew`: it had another. */
  rescore(sequence: KvSequence, anew = true): void {
    this.compressor.rescore(sequence, anew, () => this.scorer.whole(sequence.settings));
  }

  /** Whether all kernels that `tokens` more of a sequence may need are compiled: a prompt's, or some at a time of an answer. */
  ready(sequence: KvSequence, tokens: number, of: "prompt" | "answer"): boolean {
    const stages = this.stages(sequence, tokens, of);
    if (!stages.every((stage) => this.gpu.kernels.ready(stage))) return false;
    if (!stages.includes("eviction")) return true;
    const { policy } = sequence.settings;
    return this.scorer.isPrepared(policy) && this.compressor.isPrepared(policy);
  }

  /** Resolves when they are. */
  async compiled(sequence: KvSequence, tokens: number, of: "prompt" | "answer"): Promise<void> {
    const stages = this.stages(sequence, tokens, of);
    await Promise.all(stages.map((stage) => this.gpu.kernels.compiled(stage)));
    if (stages.includes("eviction")) await this.prepare(sequence.settings.policy);
  }

  /** The stages that the next tokens need; for a prompt that is read chunk by chunk, those of its first chunk. */
  private stages(sequence: KvSequence, tokens: number, of: "prompt" | "answer"): LaterStage[] {
    if (this.scores(sequence, tokens) || sequence.dividesWith(tokens)) return ["eviction"];
    if (of === "answer") return ["answer"];
    return [
      ...(tokens <= FEW_ROWS ? (["answer"] as const) : []),
      ...(sequence.tokensSeen > 0 ? (["turn"] as const) : []),
    ];
  }

  /** Whether a chunk is to be scored. Skipped until eviction is near, unless the policy must observe. */
  private scores(sequence: KvSequence, tokens: number): boolean {
    const { observation } = policyOf(sequence.settings.policy);
    if (observation && !observation.apart) return true;
    return sequence.evictsWith(tokens + scoringTurn(sequence.settings).every);
  }

  /** Gives heads budgets of their own once `tokens` more would not fit otherwise. */
  divide(sequence: KvSequence, tokens: number): void {
    if (!sequence.dividesWith(tokens)) return;
    // What may fail comes first: copies of pages that are shared with a fork.
    sequence.own();
    sequence.divide();
    this.shrink(sequence);
  }

  /** Submits the head on `rows` rows of the residual stream from `first` on, then `after`. */
  submitHead(
    rows: number,
    first: number,
    after: readonly Dispatch[] = [],
    copy?: (encoder: GPUCommandEncoder) => void,
  ): void {
    this.writeHead(rows, first);
    this.submit([...this.transformer.head(rows), ...after], copy);
  }

  /** Encodes a copy of row `row` [E] of the residual stream. */
  encodeKeep(encoder: GPUCommandEncoder, row: number, to: GPUBuffer): void {
    encoder.copyBufferToBuffer(this.transformer.buffers.hidden, row * to.size, to, 0, to.size);
  }

  /** Copies row `row` of the residual stream out. */
  keepRow(row: number, to: GPUBuffer): void {
    this.gpu.copy(this.transformer.buffers.hidden, to, row * to.size);
  }

  /** Makes a row that was kept row 0 of the residual stream. */
  restoreRow(from: GPUBuffer): void {
    this.gpu.copy(from, this.transformer.buffers.hidden);
  }

  /** Resolves when all submitted work is done. */
  idle(): Promise<undefined> {
    return this.gpu.done();
  }

  private submit(
    dispatches: readonly Dispatch[],
    copy?: (encoder: GPUCommandEncoder) => void,
    before?: (encoder: GPUCommandEncoder) => void,
  ): void {
    const encoder = this.gpu.device.createCommandEncoder();
    before?.(encoder);
    encodePass(encoder, dispatches);
    copy?.(encoder);
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  /** To be called by who writes the batch's uniform otherwise than through this. */
  forgetBatch(): void {
    this.batchKey = "";
  }

  private writeBatch(rows: number, splits: number): void {
    const key = `${rows} ${splits}`;
    if (key === this.batchKey) return;
    this.batchKey = key;
    this.gpu.write(this.transformer.buffers.batch, BATCH.pack({ rows, first: 0, splits }));
  }

  private writeHead(rows: number, first: number): void {
    this.gpu.write(this.transformer.buffers.headBatch, BATCH.pack({ rows, first, splits: 0 }));
  }
}

/**
 * Whether the decode step after `more` tokens must score the sequence's cache first: the GPU looks again, head
 * by head.
 */
function isDue(sequence: KvSequence, more = 0): boolean {
  if (scoringId(sequence.settings.policy) === 0) return false;
  const { every, phase } = scoringTurn(sequence.settings);
  return (sequence.tokensSeen + more) % every === phase && sequence.evictsWith(more + every);
}
