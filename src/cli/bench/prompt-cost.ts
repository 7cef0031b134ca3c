import { scoringTurn } from "../../cache/policies/scoring-id.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { EngineCore } from "../../engine/core.ts";
import type { DeviceState } from "../../engine/state.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import { globalLayers } from "../../kernels/pages/cache-shape.ts";
import { BATCH, consecutiveRows, ROW } from "../../kernels/records.ts";
import { blockRows, CHUNK_ROWS } from "../../model/buffers.ts";
import type { GpuTimer } from "./gpu-timer.ts";
import { tablesAsNow, writeCounts } from "./page-tables.ts";
import { someTokens } from "./step-cases.ts";

export interface PrefillCost {
  prompt: number;
  /** Everything but what follows: chunks timed at the first and the last place, in some layers. */
  restMs: number;
  /** What looks at attention, scores, selects, and moves pairs into pages, by kernel; all layers. */
  kernels: Record<string, number>;
  /** Their part of the whole, 0 to 1. Pairs are moved without eviction too. */
  share: number;
  /** What the prompt took as a user waits for it. */
  wallMs: number;
}

/** Layers whose products and attention stand for all. */
const SAMPLED_LAYERS = 3;

const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);

/** Rows that are taken in at once, and the slots a head holds before. */
interface Taken {
  rows: number;
  count: number;
  scored: boolean;
}

/** One prompt under one policy. */
export class PromptCost {
  private readonly core: EngineCore;
  private readonly state: DeviceState;
  private readonly timer: GpuTimer;
  private readonly sequence: KvSequence;
  private readonly prompt: number;

  constructor(
    core: EngineCore,
    state: DeviceState,
    timer: GpuTimer,
    sequence: KvSequence,
    prompt: number,
  ) {
    this.core = core;
    this.state = state;
    this.timer = timer;
    this.sequence = sequence;
    this.prompt = prompt;
  }

  /** Runs the prompt, then times its kernels; the sequence is left as after the prompt. */
  async measure(): Promise<PrefillCost> {
    const { prompt, sequence, state } = this;
    const { runner, prompts } = state;
    const whole = prompt > CHUNK_ROWS && sequence.evictsWith(prompt);
    const start = performance.now();
    await prompts.read(sequence, someTokens(prompt, this.core.config.vocabulary), () => {});
    await runner.idle();
    const wallMs = performance.now() - start;
    const restMs = await this.rest(whole);
    const kernels = await this.taking(whole);
    const evicting = sum(Object.values(kernels));
    return { prompt, restMs, kernels, share: evicting / (restMs + evicting), wallMs };
  }

  /** Products, attention and writes to the scratch. */
  private async rest(whole: boolean): Promise<number> {
    const { runner, gpu } = this.state;
    const { transformer } = runner;
    const layers = this.core.config.blocks.length;
    const chunks = Math.ceil(this.prompt / CHUNK_ROWS);
    const rows = Math.min(CHUNK_ROWS, this.prompt);
    const sampled = Array.from({ length: Math.min(layers, SAMPLED_LAYERS) }, (_, layer) => layer);
    gpu.write(transformer.buffers.batch, BATCH.pack({ rows, first: 0, splits: 1 }));
    const at = async (first: number): Promise<number> => {
      // In a block rows see the scratch before them, else the cache.
      this.writeCounts(whole ? first - (first % this.blockRows) : first);
      const words = ROW.pack(...consecutiveRows(someTokens(rows, 100), first, this.sequence.lane));
      if (whole)
        for (let r = 0; r < rows; r += 1)
          words[r * ROW.words + ROW.at("block_row")] = (first + r) % this.blockRows;
      gpu.write(transformer.buffers.rows, words);
      const dispatches = sampled.flatMap((layer) => {
        const { project, attend } = transformer.chunkLayer(rows, layer);
        return [...project, ...attend];
      });
      return ((await this.timer.time(dispatches)).median * layers) / sampled.length;
    };
    // Attention takes longer from chunk to chunk by the same amount.
    const [first, last] = [await at(0), await at(Math.max(0, this.prompt - rows))];
    return (chunks * (first + last)) / 2;
  }

  /** Milliseconds of what takes rows into the cache, by kernel. */
  private async taking(whole: boolean): Promise<Record<string, number>> {
    const { runner } = this.state;
    const { scorer, compressor, transformer } = runner;
    const { policy } = this.sequence.settings;
    const kernels: Record<string, number> = {};
    for (const { rows, count, scored } of this.taken(whole)) {
      const queries = scorer.observed(policy, Math.min(rows, CHUNK_ROWS));
      const firstQuery = Math.min(rows, CHUNK_ROWS) - queries;
      compressor.target(this.sequence, rows, count + rows - 1, { queries, firstQuery });
      this.writeCounts(count);
      const tables = tablesAsNow(this.state);
      const byKernel = new Map<string, Dispatch[]>();
      for (const layer of globalLayers(transformer.config))
        for (const dispatch of [
          ...(scored ? scorer.block(this.sequence.settings, layer) : []),
          ...compressor.absorb(layer, { evicts: whole, policy }),
        ]) {
          const { label } = dispatch.kernel;
          byKernel.set(label, [...(byKernel.get(label) ?? []), dispatch]);
        }
      for (const [label, dispatches] of byKernel) {
        const { median } = await this.timer.time(dispatches, tables.reset);
        kernels[label] = (kernels[label] ?? 0) + median;
      }
      tables.free();
    }
    return kernels;
  }

  /** Sets the counts back to what they were before some rows, in the pages that are there. */
  private writeCounts(count: number): void {
    writeCounts(this.state, this.sequence, count, this.sequence.mark().counts);
  }

  private get blockRows(): number {
    return blockRows(this.core.config);
  }

  /** Blocks, or chunks while everything fits: the last is scored where the next token may evict. */
  private taken(whole: boolean): Taken[] {
    const { budget } = this.sequence.settings;
    const capacity = budget === "full" ? Number.POSITIVE_INFINITY : budget;
    const size = whole ? this.blockRows : CHUNK_ROWS;
    const ahead = scoringTurn(this.sequence.settings).every;
    return Array.from({ length: Math.ceil(this.prompt / size) }, (_, i) => {
      const first = i * size;
      const rows = Math.min(size, this.prompt - first);
      return {
        rows,
        count: Math.min(first, capacity),
        scored: first + rows + ahead > capacity,
      };
    });
  }
}
