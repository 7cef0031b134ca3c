import type { Compressor } from "../cache/compressor.ts";
import type { KvSequence } from "../cache/kv-sequence.ts";
import { throwIfAborted } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import { type Dispatch, encodeDispatches } from "../gpu/kernel.ts";
import { decodeSplits } from "../kernels/attention.ts";
import { CHUNK_ROWS } from "../model/buffers.ts";
import type { DraftSteps } from "../model/draft-steps.ts";
import type { Transformer } from "../model/transformer.ts";

/** Where the GPU finds a token that is not known here yet: one u32. */
export interface TokenSource {
  readonly buffer: GPUBuffer;
  readonly offset: number;
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
  /** Steps of several tokens, once `prepareDrafts` has compiled them. */
  drafts: DraftSteps | undefined;
  private batchKey = "";

  constructor(gpu: GpuContext, transformer: Transformer, compressor: Compressor) {
    this.gpu = gpu;
    this.transformer = transformer;
    this.compressor = compressor;
  }

  /** Submits one token of a sequence, then `after` (head, sampling...) in the same command buffer. */
  submitToken(
    sequence: KvSequence,
    token: number | TokenSource,
    after: readonly Dispatch[] = [],
    copy?: (encoder: GPUCommandEncoder) => void,
  ): void {
    sequence.reserve(1);
    const { rows } = this.transformer.buffers;
    const known = typeof token === "number" ? token : 0;
    this.gpu.write(rows, new Uint32Array([known, sequence.tokensSeen, sequence.lane, 0]));
    sequence.advance(1);
    const splits = decodeSplits(sequence.longest);
    this.writeBatch(1, splits);
    this.writeHead(1, 0);
    const fetch =
      typeof token === "number"
        ? undefined
        : (encoder: GPUCommandEncoder): void =>
            encoder.copyBufferToBuffer(token.buffer, token.offset, rows, 0, 4);
    this.submit([...this.transformer.decode(1, splits), ...after], copy, fetch);
  }

  async prepareDrafts(): Promise<void> {
    this.drafts = await this.transformer.prepareDrafts();
  }

  /** How many of `wanted` tokens can be run in one step: attention must be split alike for each. */
  draftRows(sequence: KvSequence, wanted: number): number {
    const splits = (row: number): number => decodeSplits(sequence.longestAfter(row + 1));
    let rows = 1;
    while (rows < wanted && splits(rows) === splits(0)) rows += 1;
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
    sequence.reserve(tokens.length);
    steps.write(tokens, sequence.tokensSeen, sequence.lane);
    sequence.advance(tokens.length);
    const splits = decodeSplits(sequence.longest);
    this.writeBatch(tokens.length, splits);
    this.writeHead(tokens.length, 0);
    this.submit([...steps.step(tokens.length, splits), ...after], (encoder) => {
      copy(encoder);
      const { hidden } = this.transformer.buffers;
      encoder.copyBufferToBuffer(hidden, 0, steps.kept, 0, steps.kept.size);
    });
  }

  /**
   * Submits a prompt chunk of at most CHUNK_ROWS tokens: attends, then evicts. With `capture` the qkv rows
   * [M, (H + 2G) D] of layer l, queries rotated, are copied to it at l * M * (H + 2G) * D * 4.
   */
  submitChunk(sequence: KvSequence, tokens: readonly number[], capture?: GPUBuffer): void {
    sequence.reserve(tokens.length);
    const start = sequence.tokensSeen;
    const { rows, qkv } = this.transformer.buffers;
    this.gpu.write(
      rows,
      new Uint32Array(tokens.flatMap((token, i) => [token, start + i, sequence.lane, 0])),
    );
    this.writeBatch(tokens.length, 1);
    this.compressor.target(sequence, tokens.length, start + tokens.length - 1);
    const { embed, layers } = this.transformer.chunk(tokens.length);
    if (!capture) {
      this.submit([...embed, ...layers.flatMap(({ project, finish }) => [...project, ...finish])]);
    } else {
      const { heads, kvHeads, headDim } = this.transformer.config;
      const bytes = tokens.length * (heads + 2 * kvHeads) * headDim * 4;
      const encoder = this.gpu.device.createCommandEncoder();
      this.encodePass(encoder, embed);
      layers.forEach(({ project, finish }, layer) => {
        this.encodePass(encoder, project);
        encoder.copyBufferToBuffer(qkv, 0, capture, layer * bytes, bytes);
        this.encodePass(encoder, finish);
      });
      this.gpu.device.queue.submit([encoder.finish()]);
    }
    sequence.advance(tokens.length);
  }

  /**
   * Puts a prompt through, chunk by chunk; an abort takes effect between chunks. `onChunk` is called right
   * after each is submitted: during the `last` call the residual stream is that chunk's, and only then, since
   * another conversation may run while this one waits.
   */
  async prefill(
    sequence: KvSequence,
    tokens: readonly number[],
    onChunk: (tokens: readonly number[], last: boolean) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    for (let start = 0; start < tokens.length; start += CHUNK_ROWS) {
      throwIfAborted(signal);
      const chunk = tokens.slice(start, start + CHUNK_ROWS);
      this.submitChunk(sequence, chunk);
      onChunk(chunk, start + CHUNK_ROWS >= tokens.length);
      await this.idle();
    }
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
    return this.gpu.device.queue.onSubmittedWorkDone();
  }

  private submit(
    dispatches: readonly Dispatch[],
    copy?: (encoder: GPUCommandEncoder) => void,
    before?: (encoder: GPUCommandEncoder) => void,
  ): void {
    const encoder = this.gpu.device.createCommandEncoder();
    before?.(encoder);
    this.encodePass(encoder, dispatches);
    copy?.(encoder);
    this.gpu.device.queue.submit([encoder.finish()]);
  }

  private encodePass(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void {
    const pass = encoder.beginComputePass();
    encodeDispatches(pass, dispatches);
    pass.end();
  }

  private writeBatch(rows: number, splits: number): void {
    const key = `${rows} ${splits}`;
    if (key === this.batchKey) return;
    this.batchKey = key;
    this.gpu.write(this.transformer.buffers.batch, new Uint32Array([rows, 0, splits, 0]));
  }

  private writeHead(rows: number, first: number): void {
    this.gpu.write(this.transformer.buffers.headBatch, new Uint32Array([rows, first, 0, 0]));
  }
}
