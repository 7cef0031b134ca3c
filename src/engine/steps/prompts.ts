import { policyOf } from "../../cache/policies/index.ts";
import { checkpoint } from "../../cache/sequence/going-back.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { loadLater, throwIfAborted } from "../../errors.ts";
import { blockRows, CHUNK_ROWS } from "../../model/buffers.ts";
import type { Runner } from "./runner.ts";
import { needsOf } from "./step-needs.ts";

/** How far a prompt has come. */
export interface PrefillStep {
  /** Tokens of the prompt that are through, of `total`; of a block in progress, its part of the layers. */
  readonly done: number;
  readonly total: number;
  /** The tokens that this step made part of the sequence. */
  readonly taken: readonly number[];
  /** Where the last of them is in the residual stream; undefined between the layers of a block. */
  readonly row: number | undefined;
  readonly last: boolean;
}

type OnStep = (step: PrefillStep) => void;

/** Reads prompts of any length by the runner's steps, on one device. */
export class Prompts {
  private readonly runner: Runner;
  /** Ends when no prompt block is under way: one at a time holds the block's residual stream. */
  private blocks: Promise<void> = Promise.resolve();
  private readonly inBlock = new Set<KvSequence>();

  constructor(runner: Runner) {
    this.runner = runner;
  }

  /**
   * Puts a prompt through: chunk by chunk while all of it fits, else in blocks that each layer reads in full
   * before it drops anything. An abort takes effect between chunks, or between a block's layers: the
   * sequence is then torn and must be freed. `onStep` is called right after each submit; with `row` set, so
   * many tokens have been taken in and that row of the residual stream is the last one's, and only then:
   * another conversation may run while this one waits.
   */
  read(
    sequence: KvSequence,
    tokens: readonly number[],
    onStep: OnStep,
    signal?: AbortSignal,
  ): Promise<void> {
    const ended = this.runner.gpu.kernels.busy("prompt");
    return this.readParts(sequence, tokens, onStep, signal).finally(ended);
  }

  /** Ends when a block under way is whole, or torn for good: ask again then. undefined: none is of this sequence. */
  unsettled(sequence: KvSequence): Promise<void> | undefined {
    return this.inBlock.has(sequence) ? this.blocks : undefined;
  }

  private async readParts(
    sequence: KvSequence,
    tokens: readonly number[],
    onStep: OnStep,
    signal?: AbortSignal,
  ): Promise<void> {
    const { runner } = this;
    const largest = blockRows(runner.transformer.config);
    // Its later chunks' kernels, while the first is read.
    if (tokens.length > CHUNK_ROWS) runner.compiled({ stages: ["turn"] });
    for (let start = 0; start < tokens.length; ) {
      throwIfAborted(signal);
      const most = Math.min(
        largest,
        sequence.longestStep,
        untilSystem(sequence, tokens.length - start),
      );
      const block = tokens.slice(start, start + most);
      const whole = readsWhole(sequence, block.length);
      const chunk = whole ? block : block.slice(0, CHUNK_ROWS);
      const compiling = start > 0 && runner.compiled(needsOf(sequence, chunk.length, "prompt"));
      if (compiling) {
        await compiling;
        continue;
      }
      if (whole) {
        await this.readBlock(sequence, block, start, tokens.length, onStep, signal);
        start += block.length;
        continue;
      }
      runner.submitChunk(sequence, chunk);
      if (sequence.tokensSeen === sequence.systemTokens) checkpoint(sequence);
      start += chunk.length;
      const last = start >= tokens.length;
      onStep({ done: start, total: tokens.length, taken: chunk, row: chunk.length - 1, last });
      await runner.idle();
    }
  }

  private async readBlock(
    sequence: KvSequence,
    tokens: readonly number[],
    start: number,
    total: number,
    onStep: OnStep,
    signal?: AbortSignal,
  ): Promise<void> {
    const { runner } = this;
    const rows = tokens.length;
    const onLayer = (layer: number, layers: number): void => {
      if (layer === layers - 1) {
        const last = start + rows === total;
        const row = Math.min(rows, CHUNK_ROWS) - 1;
        onStep({ done: start + rows, total, taken: tokens, row, last });
      } else {
        const done = start + Math.floor((rows * (layer + 1)) / layers);
        onStep({ done, total, taken: [], row: undefined, last: false });
      }
    };
    const run = this.blocks.then(async () => {
      const { runPromptBlock } = await loadLater("long prompts", () => import("./prompt-block.ts"));
      throwIfAborted(signal);
      runner.adapt(sequence, rows);
      const { gpu, transformer, compressor, scorer } = runner;
      const block = { gpu, transformer, compressor, scorer, sequence, tokens };
      return runPromptBlock(block, onLayer, signal);
    });
    this.inBlock.add(sequence);
    this.blocks = run.then(
      () => {},
      () => {},
    );
    try {
      await run;
    } finally {
      this.inBlock.delete(sequence);
    }
  }
}

/** Of so many tokens, those up to the end of the system message, where a state shall be kept for chats that begin alike. */
function untilSystem(sequence: KvSequence, tokens: number): number {
  const left = sequence.systemTokens - sequence.tokensSeen;
  const ends = left > 0 && left < tokens;
  return ends && sequence.states && !sequence.evictsWith(tokens) ? left : tokens;
}

/** Whether so many tokens go through as a block: they do if something is dropped that later rows should see. */
function readsWhole(sequence: KvSequence, tokens: number): boolean {
  if (tokens <= CHUNK_ROWS || !sequence.evictsWith(tokens)) return false;
  return !policyOf(sequence.settings.policy).observation?.accumulate;
}
