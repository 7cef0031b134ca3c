import type { CacheSettings } from "../../cache/budget.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { throwIfAborted } from "../../errors.ts";
import { CHUNK_ROWS, LOGIT_ROWS } from "../../model/buffers.ts";
import type { Place } from "../chat/place.ts";
import type { EngineCore } from "../core.ts";
import type { DeviceState } from "../state.ts";
import type { PrefillStep } from "../steps/prefill-step.ts";
import { everyStep } from "../steps/step-needs.ts";
import { tokenRows } from "../steps/token-rows.ts";
import { LossReader } from "./loss-reader.ts";

export interface MeasureOptions {
  /** Tokens run at once; 1 is the decode path (append, evict, attend), more the prompt path (attend, evict). */
  chunk: number;
  signal?: AbortSignal;
  /** Tokens run so far. */
  onProgress?: (done: number) => void;
}

/** Without `chunk`: the tokens are read as a prompt. */
export type LogitOptions = Omit<MeasureOptions, "chunk"> & { chunk?: number };

/** An empty sequence on a device, on which something is measured. */
export interface Measured {
  state: DeviceState;
  sequence: KvSequence;
  /** Called with the tokens of each chunk once it is submitted. */
  onRun: (tokens: readonly number[]) => void;
}

/** Runs `work` on an empty cache in `place`, and anew where the device is lost meanwhile, or pages must be f32. */
export async function measureAlone<T>(
  core: EngineCore,
  place: Place,
  settings: () => CacheSettings,
  tokens: readonly number[],
  work: (measured: Measured) => Promise<T>,
): Promise<T> {
  for (;;) {
    const { result, state, cut } = await core.host.survive(async (state) => {
      const { runner } = state;
      const folds = tokens.length > core.config.contextLength;
      await runner.compiled({ ...everyStep(settings().policy), folds });
      place.open(settings());
      const onRun = (run: readonly number[]) => place.seen.push(...run);
      const sequence = place.live;
      const result = await work({ state, sequence, onRun });
      return { result, state, cut: await runner.compressor.clamped(sequence) };
    });
    if (!(await core.widen(state, cut, place.alive?.settings ?? settings()))) return result;
  }
}

/** Runs `count` of `tokens`; `after` is called when rows [start, start + rows) are the residual stream. */
async function run(
  { state: { runner }, sequence, onRun }: Measured,
  tokens: readonly number[],
  count: number,
  { chunk, signal, onProgress }: MeasureOptions,
  after: (start: number, rows: number) => void,
): Promise<void> {
  for (let start = 0; start < count; ) {
    throwIfAborted(signal);
    const rows = Math.min(chunk, CHUNK_ROWS, count - start);
    const part = tokens.slice(start, start + rows);
    await tokenRows(runner, part);
    if (chunk === 1) runner.submitToken(sequence, part[0]!);
    else runner.submitChunk(sequence, part);
    onRun(part);
    after(start, rows);
    start += rows;
    // The GPU catches up now and then.
    if (chunk > 1 || start % 16 === 0) {
      await runner.idle();
      onProgress?.(start);
    }
  }
}

/** Logits [V] after the last of `tokens`, run as a prompt or, with `chunk`, so many at a time. */
export async function measureLogits(
  measured: Measured,
  tokens: readonly number[],
  { chunk, ...options }: LogitOptions,
): Promise<Float32Array> {
  const { gpu, runner, prompts } = measured.state;
  const { buffers, config } = runner.transformer;
  let bytes: Promise<ArrayBuffer> | undefined;
  const readRow = (row: number): void => {
    runner.submitHead(1, row);
    bytes = gpu.read(buffers.logits, 0, config.vocabulary * 4);
  };
  if (chunk === undefined) {
    const onStep = ({ taken, row, last, done }: PrefillStep): void => {
      measured.onRun(taken);
      if (last && row !== undefined) readRow(row);
      options.onProgress?.(done);
    };
    await prompts.read(measured.sequence, tokens, onStep, options.signal);
  } else {
    await run(measured, tokens, tokens.length, { ...options, chunk }, (start, rows) => {
      if (start + rows === tokens.length) readRow(rows - 1);
    });
  }
  return new Float32Array(await (bytes as Promise<ArrayBuffer>));
}

/** nll[i] = -ln p(tokens[i + 1] | tokens[0..i]), one fewer than there are tokens. */
export async function measureLosses(
  measured: Measured,
  tokens: readonly number[],
  options: MeasureOptions,
): Promise<Float64Array> {
  const count = tokens.length - 1;
  const { vocabulary } = measured.state.runner.transformer.config;
  const losses = await LossReader.create(measured.state, vocabulary, tokens.length);
  try {
    await run(measured, tokens, count, options, (start, rows) => {
      for (let first = 0; first < rows; first += LOGIT_ROWS) {
        const at = start + first;
        const end = Math.min(at + LOGIT_ROWS, start + rows);
        losses.submit(tokens.slice(at + 1, end + 1), first, at);
      }
    });
    return await losses.read(count);
  } finally {
    losses.dispose();
  }
}
