import { resolveCacheSettings } from "../../cache/budget.ts";
import { KvSequence } from "../../cache/kv-sequence.ts";
import type { PolicyName } from "../../cache/policies/index.ts";
import { policyOf } from "../../cache/policies/index.ts";
import { scoringTurn } from "../../cache/policies/scoring-id.ts";
import { GREEDY } from "../../engine/chat/generate-options.ts";
import type { EngineCore } from "../../engine/core.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import type { DeviceState } from "../../engine/state.ts";
import { Sampler } from "../../engine/steps/sampler.ts";
import { everyStep } from "../../engine/steps/step-needs.ts";
import type { AdapterKind } from "../../gpu/adapter-kind.ts";
import type { Dispatch } from "../../gpu/kernel.ts";
import { decodeSplits } from "../../kernels/attention/attention-tiling.ts";
import { globalLayers } from "../../kernels/pages/cache-shape.ts";
import { BATCH, consecutiveRows, ROW } from "../../kernels/records.ts";
import { blockRows, CHUNK_ROWS } from "../../model/buffers.ts";
import { createGpuTimer, GpuTimer, type Reset, type TimingMethod } from "./gpu-timer.ts";
import { openPlan } from "./plans.ts";
import { fmaDispatch } from "./roofline.ts";
import { evictAnything, someTokens } from "./step-cases.ts";

/** Milliseconds on the device. */
export interface DecodeCost {
  /** Tokens seen before. */
  history: number;
  /** A whole step under eviction, scoring left out. */
  stepMs: number;
  /** Its writes to the cache, which find the pair to evict; and the same into a cache that evicts nothing. */
  appendMs: number;
  plainAppendMs: number;
  /** Scoring all heads anew, where the policy does, and how many tokens lie between two times. */
  scoreMs: number;
  every: number;
  /** Part of the time per token, 0 to 1: (append - plain append + score / every) / (step + score / every). */
  share: number;
}

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

export interface EvictionCost {
  policy: PolicyName;
  budget: number;
  decode: DecodeCost;
  prefill: PrefillCost[];
}

export interface EvictionReport {
  timing: TimingMethod;
  plans: { plan: AdapterKind; own: boolean; costs: EvictionCost[] }[];
}

export interface EvictionBenchOptions {
  /** Kernels of which kinds of adapter are timed, on this one. */
  plans: readonly AdapterKind[];
  runs: number;
  policies: readonly PolicyName[];
  budget: number;
  /** Lengths of prompts; decoding goes on after the longest. */
  prompts: readonly number[];
  report: (label: string, done: number, total: number) => void;
}

/** Layers whose products and attention stand for all. */
const SAMPLED_LAYERS = 3;

/** What eviction takes of decoding and of prompts: its kernels against the rest, on a model's own steps. */
export async function benchEviction(
  engine: InferenceEngine,
  options: EvictionBenchOptions,
): Promise<EvictionReport> {
  const core = engine.internals;
  const { gpu } = core.state;
  const timer = await createGpuTimer(gpu, 1, [(await fmaDispatch(gpu)).dispatch]);
  timer.dispose();
  const plans: EvictionReport["plans"] = [];
  for (const plan of options.plans) {
    const { state, close } = await openPlan(core, plan);
    try {
      const own = new GpuTimer(state.gpu, options.runs, timer.method === "timestamp");
      const costs = await measure(core, state, own, options);
      plans.push({ plan, own: plan === gpu.kind, costs });
      own.dispose();
    } finally {
      close();
    }
  }
  return { timing: timer.method, plans };
}

async function measure(
  core: EngineCore,
  state: DeviceState,
  timer: GpuTimer,
  { policies, budget, prompts, report }: EvictionBenchOptions,
): Promise<EvictionCost[]> {
  const costs: EvictionCost[] = [];
  const ordered = [...prompts].sort((a, b) => a - b);
  for (const asked of policies) {
    const request = core.withPolicy({ budget, policy: asked });
    const settings = resolveCacheSettings(request);
    const { policy } = settings;
    await state.runner.compiled(everyStep(policy));
    const prefill: PrefillCost[] = [];
    let decode: DecodeCost | undefined;
    for (const prompt of ordered) {
      report(`${policy}, ${prompt} tokens`, prefill.length, ordered.length);
      const sequence = new KvSequence(state.pool, settings);
      const cost = new PromptCost(core, state, timer, sequence, prompt);
      prefill.push(await cost.measure());
      if (prompt === ordered.at(-1))
        decode = await decodeCost(core, state, timer, sequence, budget, prompt);
      sequence.free();
    }
    costs.push({ policy, budget, decode: decode!, prefill });
  }
  return costs;
}

const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);

/** Says on the device that each head holds `count` slots, or with `most` [L][G] no more than these. */
function writeCounts(
  { pool }: DeviceState,
  { lane }: KvSequence,
  count: number,
  most?: readonly (readonly number[])[],
): void {
  for (const layer of globalLayers(pool.shape))
    for (let head = 0; head < pool.shape.kvHeads; head += 1) {
      const slots = Math.min(count, most?.[layer]?.[head] ?? count);
      pool.gpu.write(pool.tables, Uint32Array.of(slots), pool.rowWord(lane, layer, head) * 4);
    }
}

/** Puts the page tables back to what they are now. */
function tablesAsNow({ pool }: DeviceState): { reset: Reset; free: () => void } {
  const { gpu, tables } = pool;
  const kept = gpu.ledger.storage("staging", "bench tables", tables.size);
  gpu.copy(tables, kept);
  return {
    reset: (encoder) => encoder.copyBufferToBuffer(kept, 0, tables, 0, tables.size),
    free: () => gpu.ledger.destroy(kept),
  };
}

/** Room beyond the budget that appends without eviction are timed in. */
const SLACK = 64;

async function decodeCost(
  core: EngineCore,
  state: DeviceState,
  timer: GpuTimer,
  sequence: KvSequence,
  budget: number,
  history: number,
): Promise<DecodeCost> {
  const { gpu, pool, runner, sample } = state;
  const { transformer, scorer } = runner;
  const { policy } = sequence.settings;
  const { vocabulary } = core.config;
  const plain = new KvSequence(pool, resolveCacheSettings({ policy: "full" }));
  plain.reserve(budget + SLACK);
  // A token that is due to be scored.
  const { every, phase } = scoringTurn(sequence.settings);
  const at = Math.ceil((history + 1) / every) * every + phase;
  runner.submitToken(sequence, 0);
  evictAnything(state, sequence);
  const row = (lane: number): void =>
    gpu.write(transformer.buffers.rows, ROW.pack(...consecutiveRows([0], at, lane)));
  const splits = decodeSplits(sequence.longestAfter(0));
  const sampler = new Sampler(gpu, sample, transformer.buffers, GREEDY, [0], [], vocabulary);
  const step = transformer.decode(1, splits);
  const appends = step.filter(({ kernel }) => kernel.label.startsWith("kv_write"));
  writeCounts(state, plain, budget);
  const tables = tablesAsNow(state);
  const { reset } = tables;
  row(sequence.lane);
  const whole = [...step, ...transformer.head(1), ...sampler.dispatches];
  const stepMs = (await timer.time(whole)).median;
  const scoring = policyOf(policy).scoring ? scorer.step(policy, 1, 0) : [];
  const scoreMs = scoring.length > 0 ? (await timer.time(scoring)).median : 0;
  // The lane is named by the row, which is put back with the tables.
  const rows = [sequence.lane, plain.lane].map((lane) =>
    gpu.ledger.storage("staging", `bench row ${lane}`, 16),
  );
  for (const [i, lane] of [sequence.lane, plain.lane].entries())
    gpu.write(rows[i]!, ROW.pack(...consecutiveRows([0], at, lane)));
  const [append, plainAppend] = await timer.timeInTurns(
    rows.map((from) => ({
      dispatches: appends,
      reset: (encoder: GPUCommandEncoder): void => {
        reset(encoder);
        encoder.copyBufferToBuffer(from, 0, transformer.buffers.rows, 0, 16);
      },
    })),
  );
  sampler.dispose();
  tables.free();
  for (const buffer of rows) gpu.ledger.destroy(buffer);
  plain.free();
  const [appendMs, plainAppendMs] = [append!.median, plainAppend!.median];
  const scored = scoreMs / every;
  const share = (appendMs - plainAppendMs + scored) / (stepMs + scored);
  return { history, stepMs, appendMs, plainAppendMs, scoreMs, every, share };
}

/** Rows that are taken in at once, and the slots a head holds before. */
interface Taken {
  rows: number;
  count: number;
  scored: boolean;
}

/** One prompt under one policy. */
class PromptCost {
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
    const { layers } = this.core.config;
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
