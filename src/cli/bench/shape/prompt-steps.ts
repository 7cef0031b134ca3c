import type { CacheSettings } from "../../../cache/budget.ts";
import { KvSequence } from "../../../cache/sequence/kv-sequence.ts";
import type { DeviceState } from "../../../engine/state.ts";
import type { Dispatch } from "../../../gpu/kernel.ts";
import { BATCH, consecutiveRows, ROW } from "../../../kernels/records.ts";
import { CHUNK_ROWS } from "../../../model/buffers.ts";
import type { GpuTimer } from "../gpu-timer.ts";
import { tablesAsNow, writeCounts } from "../page-tables.ts";
import { median } from "../statistics.ts";
import { someTokens } from "../step-cases.ts";
import { type PartFigure, partFigures } from "./part-figures.ts";
import { type ShapeModel, stepParts } from "./step-parts.ts";

/** Milliseconds after which a prompt is not read again. */
const ENOUGH_MS = 10_000;

/** A prompt that is read chunk by chunk, since all of it fits; without the head. */
export class PromptSteps {
  private readonly model: ShapeModel;
  private readonly state: DeviceState;
  private readonly timer: GpuTimer;
  private readonly settings: CacheSettings;

  constructor(model: ShapeModel, state: DeviceState, timer: GpuTimer, settings: CacheSettings) {
    this.model = model;
    this.state = state;
    this.timer = timer;
    this.settings = settings;
  }

  /**
   * Reads the prompt, up to `runs` times, then times the parts of its first and its last chunk: attention takes longer from
   * chunk to chunk by the same amount. Milliseconds of the parts are those shares of what the prompt took.
   */
  async measure(prompt: number, runs: number): Promise<{ parts: PartFigure[]; wallMs: number }> {
    (await this.read(CHUNK_ROWS)).sequence.free();
    const times: number[] = [];
    let { sequence, ms } = await this.read(prompt);
    for (times.push(ms); times.length < runs && sum(times) < ENOUGH_MS; times.push(ms)) {
      sequence.free();
      ({ sequence, ms } = await this.read(prompt));
    }
    const wallMs = median(times);
    const rows = Math.min(CHUNK_ROWS, prompt);
    const chunks = Math.ceil(prompt / CHUNK_ROWS);
    const [first, last] = [
      await this.chunk(sequence, 0, rows),
      await this.chunk(sequence, prompt - rows, rows),
    ];
    sequence.free();
    const all = (a: number, b: number): number => (chunks * (a + b)) / 2;
    const parts = first.map((part, i) => {
      const { ms: lastMs, work } = last[i]!;
      const bytes = all(part.work.bytes, work.bytes);
      const flops = all(part.work.flops, work.flops);
      return { ...part, ms: all(part.ms, lastMs), work: { bytes, flops } };
    });
    const scale = wallMs / sum(parts.map((part) => part.ms));
    const scaled = parts.map((part) => {
      const partMs = part.ms * scale;
      return { ...part, ms: partMs, msPerLayer: partMs / part.layers };
    });
    return { parts: scaled, wallMs };
  }

  private async read(tokens: number): Promise<{ sequence: KvSequence; ms: number }> {
    const { runner, prompts, pool } = this.state;
    const sequence = new KvSequence(pool, this.settings);
    const start = performance.now();
    await prompts.read(sequence, someTokens(tokens, this.model.config.vocabulary), () => {});
    await runner.idle();
    return { sequence, ms: performance.now() - start };
  }

  /** The parts of the chunk of `rows` rows behind `before` tokens. */
  private async chunk(sequence: KvSequence, before: number, rows: number): Promise<PartFigure[]> {
    const { model, state, timer } = this;
    const { gpu, runner } = state;
    const { transformer, compressor } = runner;
    const { capacities } = sequence.pages;
    writeCounts(state, sequence, before, capacities);
    gpu.write(transformer.buffers.batch, BATCH.pack({ rows, first: 0, splits: 1 }));
    const tokens = someTokens(rows, model.config.vocabulary);
    gpu.write(
      transformer.buffers.rows,
      ROW.pack(...consecutiveRows(tokens, before, sequence.lane)),
    );
    compressor.target(sequence, rows, before + rows - 1, { firstQuery: rows });
    const over = before === 0 ? "empty" : "any";
    const how = { evicts: false, policy: sequence.settings.policy };
    const layers = model.config.blocks.map(({ kind, index, lends }, block): Dispatch[] => {
      const { project, attend } = transformer.chunkLayer(rows, block, over);
      const taken = kind === "attention" && !lends ? compressor.absorb(index, how) : [];
      return [...project, ...attend, ...taken];
    });
    const at = { rows, slots: before };
    const rest = transformer.embed(rows);
    const parts = stepParts(model, state, at, { layers, rest, head: false });
    const tables = tablesAsNow(state);
    const timed = await partFigures(timer, parts, tables.reset);
    tables.free();
    return timed;
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, x) => total + x, 0);
