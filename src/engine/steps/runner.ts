import type { Compressor } from "../../cache/compressor.ts";
import { policyOf } from "../../cache/policies/index.ts";
import type { Scorer } from "../../cache/scorer.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, encodePass } from "../../gpu/kernel.ts";
import { allOf } from "../../gpu/on-demand.ts";
import { decodeSplits, LANE_SPLITS } from "../../kernels/attention/attention-tiling.ts";
import { BATCH, consecutiveRows, ROW } from "../../kernels/records.ts";
import type { StepBuffers } from "../../model/buffers.ts";
import type { DraftSteps } from "../../model/draft-steps.ts";
import type { Transformer } from "../../model/transformer.ts";
import { dueScoring, type Needs, type StepPart, scoresChunk } from "./step-needs.ts";

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

/** What a kind of step encodes: its rows are written, and attention to the cache is divided into `splits` parts. */
interface EncodedStep {
  readonly encoder: GPUCommandEncoder;
  /** M */
  readonly rows: number;
  /** The rows, as they were written. */
  readonly words: Uint32Array;
  readonly splits: number;
  /** Scores caches that are due; comes first. */
  readonly scoring: readonly Dispatch[];
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
  constructor(gpu: GpuContext, transformer: Transformer, compressor: Compressor, scorer: Scorer) {
    this.gpu = gpu;
    this.transformer = transformer;
    this.compressor = compressor;
    this.scorer = scorer;
  }

  /**
   * The one gate: undefined where all that is needed is compiled. Else it comes before everything else, and what is
   * returned resolves once it is; ask again then, since what is needed may have changed meanwhile.
   */
  compiled({
    stages,
    policy,
    whole,
    heads,
    drafts,
    retention,
    folds,
    tokens,
  }: Needs): Promise<unknown> | undefined {
    const { gpu, transformer, compressor } = this;
    return allOf([
      stages && gpu.kernels.compiled(stages),
      policy && compressor.policies.made(policy, whole),
      heads ? transformer.heads.made() : undefined,
      drafts ? transformer.drafts.made() : undefined,
      retention ? compressor.counting.made() : undefined,
      folds ? compressor.folding.made() : undefined,
      tokens && transformer.parts.tokenRows?.read(tokens),
    ]);
  }

  /**
   * The recipe of every step: positions are folded and heads get budgets of their own where they must, room is reserved, caches that are due are
   * scored, rows are written, the step is encoded and submitted, and the host's books go on. Nothing in it is awaited.
   * `decodes`: rows are appended one by one, to caches that may have to be scored first. `drafts`: the last ones may be
   * taken back.
   */
  private step(
    parts: readonly StepPart[],
    encode: (step: EncodedStep) => void,
    { decodes = true, ...how }: { splits?: number; decodes?: boolean; drafts?: boolean } = {},
  ): void {
    for (const { sequence, tokens } of parts) this.adapt(sequence, tokens.length);
    const due = decodes ? dueScoring(parts) : [];
    for (const { sequence, tokens } of parts) sequence.reserve(tokens.length, how.drafts);
    // Bound after that: a slab that grows is another buffer.
    const scoring = due.flatMap(([policy, first]) => this.scorer.step(policy, parts.length, first));
    const rows = parts.flatMap(({ sequence, tokens }) =>
      consecutiveRows(tokens, sequence.tokensSeen, sequence.lane),
    );
    const words = ROW.pack(...rows);
    this.gpu.write(this.buffers.rows, words);
    this.transformer.parts.tokenRows?.write(rows.map(({ token }) => token));
    this.transformer.parts.states?.write(
      parts.flatMap(({ sequence }) => sequence.states?.moves ?? []),
    );
    const longest = parts.map(({ sequence, tokens }) => sequence.pages.longestAfter(tokens.length));
    const splits = how.splits ?? decodeSplits(Math.max(...longest));
    this.gpu.write(this.buffers.batch, BATCH.pack({ rows: rows.length, first: 0, splits }));
    const encoder = this.gpu.device.createCommandEncoder();
    encode({ encoder, rows: rows.length, words, splits, scoring });
    this.gpu.device.queue.submit([encoder.finish()]);
    for (const { sequence, tokens } of parts) sequence.advance(tokens.length);
  }

  private get buffers(): StepBuffers {
    return this.transformer.buffers;
  }

  /** Submits one token of a sequence, then `after` (head, sampling...) in the same command buffer. */
  submitToken(
    sequence: KvSequence,
    token: number | TokenSource,
    after: readonly Dispatch[] = [],
    copy?: (encoder: GPUCommandEncoder) => void,
  ): void {
    const known = typeof token === "number" ? token : 0;
    const { policy } = sequence.settings;
    const observe = policyOf(policy).observation?.accumulate
      ? (layer: number) => this.scorer.observeStep(policy, layer, 1)
      : undefined;
    this.writeHead(1, 0);
    this.step([{ sequence, tokens: [known] }], ({ encoder, splits, scoring }) => {
      if (typeof token !== "number")
        encoder.copyBufferToBuffer(token.buffer, token.offset, this.buffers.rows, 0, 4);
      const dispatches = this.transformer.decode(1, splits, observe);
      encodePass(encoder, [...scoring, ...dispatches, ...after]);
      copy?.(encoder);
    });
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
    this.writeHead(tokens.length, 0);
    const encode = ({ encoder, rows, words, splits, scoring }: EncodedStep): void => {
      steps.write(words);
      encodePass(encoder, [...scoring, ...steps.step(rows, splits), ...after]);
      copy(encoder);
      encoder.copyBufferToBuffer(this.buffers.hidden, 0, steps.kept, 0, steps.kept.size);
    };
    this.step([{ sequence, tokens }], encode, { drafts: true });
  }

  /**
   * Submits one token of each of several sequences, through one pass over the weights; what a sequence gets
   * does not depend on the others. `transformer.makeRoom` must have made room. The rows of the residual
   * stream are in this order. `after`: what comes behind each layer's attention.
   */
  submitLanes(
    tokens: readonly LaneToken[],
    after?: (layer: number, rows: number) => Dispatch[],
  ): void {
    const policies = new Set(tokens.map(({ sequence }) => sequence.settings.policy));
    const observed = [...policies].filter((policy) => policyOf(policy).observation?.accumulate);
    const observe = (layer: number): Dispatch[] => [
      ...observed.flatMap((policy) => this.scorer.observeStep(policy, layer, tokens.length)),
      ...(after?.(layer, tokens.length) ?? []),
    ];
    const observes = observed.length > 0 || after !== undefined;
    this.step(
      tokens.map(({ sequence, token }) => ({ sequence, tokens: [token] })),
      ({ encoder, rows, scoring }) => {
        const dispatches = this.transformer.lanes(rows, observes ? observe : undefined);
        encodePass(encoder, [...scoring, ...dispatches]);
      },
      { splits: LANE_SPLITS },
    );
  }

  /** Like `submitHead`, but each row has the same bits whatever rows are beside it. */
  submitLaneHead(rows: number, first: number, after: readonly Dispatch[] = []): void {
    this.writeHead(rows, first);
    this.submit([...this.transformer.laneHead(rows), ...after]);
  }

  /**
   * Submits a prompt chunk of at most CHUNK_ROWS tokens: attends, then evicts. `look` may encode copies, in each layer that
   * has keys and values of its own: of the residual stream [M, E] that enters it, then, `projected`, of its qkv rows
   * [M, (H + 2G) D], queries rotated.
   */
  submitChunk(
    sequence: KvSequence,
    tokens: readonly number[],
    look?: (encoder: GPUCommandEncoder, layer: number, projected: boolean) => void,
  ): void {
    const { policy } = sequence.settings;
    const { blocks } = this.transformer.config;
    const encode = ({ encoder, rows }: EncodedStep): void => {
      const start = sequence.tokensSeen;
      const queries = this.scorer.observed(policy, rows);
      this.compressor.target(sequence, rows, start + rows - 1, {
        queries,
        firstQuery: rows - queries,
      });
      const scored = scoresChunk(sequence, rows);
      const how = { evicts: sequence.evictsWith(rows), policy };
      const { embed, layers } = this.transformer.chunk(rows, start === 0 ? "empty" : "any");
      const pass: Dispatch[] = [...embed];
      for (const [block, { project, attend }] of layers.entries()) {
        const { kind, index: layer, borrows, lends } = blocks[block]!;
        if (kind === "state") {
          pass.push(...project, ...attend);
          continue;
        }
        for (const part of [[], project]) {
          pass.push(...part);
          if (!look || borrows) continue;
          encodePass(encoder, pass.splice(0));
          look(encoder, layer, part === project);
        }
        // The layer whose keys they are scores them, and once all that attend to them have, they are taken in.
        pass.push(...attend);
        if (scored && !borrows) pass.push(...this.scorer.block(sequence.settings, layer));
        if (!lends) pass.push(...this.compressor.absorb(layer, how));
      }
      encodePass(encoder, pass);
    };
    this.step([{ sequence, tokens }], encode, { splits: 1, decodes: false });
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

  /**
   * What must change before `tokens` more are run: positions are folded where they would leave the trained length, and
   * heads get budgets of their own where all would not fit otherwise. `rereading`: they are read twice, and the second
   * reading stands behind them; what `scored` says was scored by earlier blocks' second readings stays so.
   */
  adapt(sequence: KvSequence, tokens: number, rereading?: { readonly scored: boolean }): void {
    if (sequence.foldsWith(rereading ? 2 * tokens : tokens))
      this.compressor.fold(sequence, this.transformer.turning);
    if (!sequence.dividesWith(tokens)) return;
    // What may fail comes first: copies of pages that are shared with a fork.
    sequence.pages.own();
    sequence.divide();
    if (rereading?.scored) this.compressor.shrink(sequence, undefined);
    else this.shrink(sequence);
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
  ): void {
    const encoder = this.gpu.device.createCommandEncoder();
    encodePass(encoder, dispatches);
    copy?.(encoder);
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  private writeHead(rows: number, first: number): void {
    this.gpu.write(this.transformer.buffers.headBatch, BATCH.pack({ rows, first, splits: 0 }));
  }
}
