import { policyOf } from "../../cache/policies/index.ts";
import { checkpoint } from "../../cache/sequence/going-back.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { loadLater, throwIfAborted } from "../../errors.ts";
import { blockRows, CHUNK_ROWS } from "../../model/buffers.ts";
import type { OnStep } from "./prefill-step.ts";
import type { PromptBlock, Told } from "./prompt-block.ts";
import type { Runner } from "./runner.ts";
import { needsOf } from "./step-needs.ts";

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

  /** Reads a block of a prompt twice, whatever the sequence's settings say: see `runPromptBlock`. */
  readTwice(sequence: KvSequence, tokens: readonly number[], signal?: AbortSignal): Promise<void> {
    const block = { sequence, tokens, rereading: { scored: false } };
    return this.readBlock(block, { before: 0, total: tokens.length, onStep: () => {} }, signal);
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
    const rereads = readsTwice(sequence, tokens.length);
    // Its later chunks' kernels, while the first is read.
    if (tokens.length > CHUNK_ROWS) runner.compiled({ stages: ["turn"] });
    for (let start = 0; start < tokens.length; ) {
      throwIfAborted(signal);
      const left = tokens.length - start;
      const room = Math.min(largest, sequence.longestStep);
      // Both readings must find room, and no block is left with a few tokens.
      const most = rereads
        ? Math.ceil(left / Math.ceil(left / (room >> 1)))
        : Math.min(room, untilSystem(sequence, left));
      const block = tokens.slice(start, start + most);
      const whole = rereads || readsWhole(sequence, block.length);
      const chunk = whole ? block : block.slice(0, CHUNK_ROWS);
      const compiling = runner.compiled({
        ...(start > 0 && needsOf(sequence, chunk.length, "prompt")),
        tokens: chunk,
      });
      if (compiling) {
        await compiling;
        continue;
      }
      if (whole) {
        const rereading = rereads ? { scored: start > 0 } : undefined;
        const told = { before: start, total: tokens.length, onStep };
        await this.readBlock({ sequence, tokens: block, rereading }, told, signal);
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
    block: Omit<PromptBlock, "runner">,
    told: Told,
    signal?: AbortSignal,
  ): Promise<void> {
    const { sequence } = block;
    const run = this.blocks.then(async () => {
      const { runPromptBlock } = await loadLater("long prompts", () => import("./prompt-block.ts"));
      throwIfAborted(signal);
      return runPromptBlock({ ...block, runner: this.runner }, told, signal);
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

/** Whether a prompt of so many tokens is read twice: what comes in a single chunk is a question rather than a document. */
function readsTwice(sequence: KvSequence, tokens: number): boolean {
  return sequence.settings.reread && tokens > CHUNK_ROWS && sequence.evictsWith(tokens);
}

/** Whether so many tokens go through as a block: they do if something is dropped that later rows should see. */
function readsWhole(sequence: KvSequence, tokens: number): boolean {
  if (tokens <= CHUNK_ROWS || !sequence.evictsWith(tokens)) return false;
  return !policyOf(sequence.settings.policy).observation?.accumulate;
}
