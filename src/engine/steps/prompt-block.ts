import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { loadLater, throwIfAborted } from "../../errors.ts";
import { encodePass } from "../../gpu/kernel.ts";
import { BATCH, consecutiveRows, ROW } from "../../kernels/records.ts";
import { CHUNK_ROWS } from "../../model/buffers.ts";
import type { OnStep } from "./prefill-step.ts";
import type { Runner } from "./runner.ts";
import type { SecondReading } from "./second-reading.ts";
import { tokenRows } from "./token-rows.ts";

/** Layers that are submitted before the first of them must be done: an abort waits for these. */
const LAYERS_AHEAD = 2;

export interface PromptBlock {
  readonly runner: Runner;
  readonly sequence: KvSequence;
  readonly tokens: readonly number[];
  /**
   * It is read twice. `scored`: blocks before it in the same prompt were too, so that scores in the cache are the attention
   * that their second readings have paid.
   */
  readonly rereading?: { readonly scored: boolean } | undefined;
}

/** Whom the block's progress is told: it stands behind the prompt's first `before` tokens, of `total`. */
export interface Told {
  readonly before: number;
  readonly total: number;
  readonly onStep: OnStep;
}

/**
 * Puts a prompt block through the model layer by layer: in each, all rows attend to the cache and to the
 * whole block, and only then is that layer's cache compressed. So a prompt is read in full before anything
 * of it is dropped, and beside the budget just one layer's keys and values are held.
 *
 * Within a layer the block runs in chunks of CHUNK_ROWS, the first of which may be shorter, so that the last
 * holds the queries that a policy may want to observe. There is one submit a layer, which leaves nothing behind
 * that other conversations' steps could disturb but the block's residual stream. The sequence is torn
 * until the last layer is in: after an abort or an error it must be freed.
 *
 * A block that is read twice is followed by its own tokens once more, in each layer: these rows attend to all of it, what they
 * attend to is its score, and nothing of them is taken in. The block's scratch must have room for both.
 *
 * `told` is told right after each layer is submitted; during the last call the residual stream is that of the block's last chunk,
 * which has min(M, CHUNK_ROWS) rows.
 */
export async function runPromptBlock(
  { runner, sequence, tokens, rereading }: PromptBlock,
  told: Told,
  signal?: AbortSignal,
): Promise<void> {
  const { gpu, transformer, compressor, scorer } = runner;
  const { buffers, config } = transformer;
  const rows = tokens.length;
  const start = sequence.tokensSeen;
  const { settings } = sequence;
  const second = rereading && (await loadSecondReading(runner, sequence, rows));
  await tokenRows(runner, tokens);
  runner.adapt(sequence, rows, rereading);
  const firstChunks = chunksOf(rows);
  const last = firstChunks[firstChunks.length - 1]!;
  const chunks = second
    ? [...firstChunks, ...firstChunks.map((chunk) => ({ ...chunk, first: rows + chunk.first }))]
    : firstChunks;
  sequence.reserve(rows);
  const evicts = sequence.evictsWith(rows);
  const run = second ? [...tokens, ...tokens] : tokens;
  gpu.write(buffers.blockRows, ROW.pack(...consecutiveRows(run, start, sequence.lane)));
  const batches = BATCH.pack(...chunks.map((chunk) => ({ rows: chunk.rows, first: 0, splits: 1 })));
  const batchBuffer = gpu.ledger.storage("staging", "block batches", batches.byteLength);
  gpu.write(batchBuffer, batches);
  const [hiddenBytes, rowBytes, batchBytes] = [config.hidden * 4, ROW.words * 4, BATCH.words * 4];
  const queries = second ? 0 : scorer.observed(settings.policy, last.rows);
  const observation = {
    queries,
    firstQuery: last.rows - queries,
    anew: rereading?.scored === false,
  };
  const inputs = transformer.parts.tokenRows?.block(run);
  const running: Promise<unknown>[] = [];
  try {
    const { blocks } = config;
    for (const [block, { kind, index: layer, borrows, lends }] of blocks.entries()) {
      throwIfAborted(signal);
      compressor.target(sequence, rows, start + rows - 1, observation);
      if (sequence.states) transformer.parts.states?.write(sequence.states.moves);
      const encoder = gpu.device.createCommandEncoder();
      chunks.forEach(({ first, rows: size }, i) => {
        const { rows: chunkRows, batch, hidden, blockRows, blockHidden } = buffers;
        encoder.copyBufferToBuffer(blockRows, first * rowBytes, chunkRows, 0, size * rowBytes);
        encoder.copyBufferToBuffer(batchBuffer, i * batchBytes, batch, 0, batchBytes);
        const [at, bytes] = [first * hiddenBytes, size * hiddenBytes];
        const again = i >= firstChunks.length;
        if (i === firstChunks.length && kind === "state") second!.keepState(encoder, layer);
        if (i > 0) transformer.parts.states?.encodeNext(encoder);
        if (block > 0) encoder.copyBufferToBuffer(blockHidden, at, hidden, 0, bytes);
        inputs?.encodeTake(encoder, first, size, block > 0 ? block : undefined);
        const { project, attend } = transformer.chunkLayer(size, block);
        encodePass(encoder, [
          ...(block === 0 ? transformer.embed(size) : []),
          ...project,
          ...attend,
          ...(again && kind === "attention" && !borrows ? second!.score(layer) : []),
        ]);
        encoder.copyBufferToBuffer(hidden, 0, blockHidden, at, bytes);
        if (block === 0) inputs?.encodeKeep(encoder, first, size);
      });
      if (kind === "attention")
        encodePass(encoder, [
          ...(second || borrows ? [] : scorer.block(settings, layer)),
          ...(lends ? [] : compressor.absorb(layer, { evicts, policy: settings.policy })),
        ]);
      else second?.restoreState(encoder, layer);
      if (second && block === blocks.length - 1) {
        const [at, bytes] = [last.first * hiddenBytes, last.rows * hiddenBytes];
        encoder.copyBufferToBuffer(buffers.blockHidden, at, buffers.hidden, 0, bytes);
      }
      gpu.device.queue.submit([encoder.finish()]);
      sequence.advanceLayer(kind === "attention" && !lends ? layer : undefined, rows);
      if (block === blocks.length - 1) sequence.endBlock(rows);
      tell(told, tokens, (block + 1) / blocks.length);
      running.push(gpu.done());
      if (running.length > LAYERS_AHEAD) await running.shift();
    }
    await Promise.all(running);
  } finally {
    gpu.ledger.destroy(batchBuffer);
    inputs?.dispose();
    second?.dispose();
  }
}

/** Tells that so much of the block's layers is through. */
function tell({ before, total, onStep }: Told, tokens: readonly number[], part: number): void {
  const rows = tokens.length;
  const done = before + Math.floor(rows * part);
  if (part < 1) onStep({ done, total, taken: [], row: undefined, last: false });
  else {
    const row = Math.min(rows, CHUNK_ROWS) - 1;
    onStep({ done, total, taken: tokens, row, last: done === total });
  }
}

/** What scores a block by its second reading, with all compiled that both readings need. */
async function loadSecondReading(
  runner: Runner,
  sequence: KvSequence,
  rows: number,
): Promise<SecondReading> {
  const load = () => import("./second-reading.ts");
  const code = await loadLater("second readings", load);
  await runner.compiled({ folds: sequence.foldsWith(2 * rows) });
  return code.SecondReading.create(runner, sequence);
}

/** The chunks of a block: what does not fill one comes first. */
function chunksOf(rows: number): { first: number; rows: number }[] {
  const whole = Math.floor(rows / CHUNK_ROWS);
  const rest = rows - whole * CHUNK_ROWS;
  const chunks = rest > 0 ? [{ first: 0, rows: rest }] : [];
  for (let i = 0; i < whole; i += 1)
    chunks.push({ first: rest + i * CHUNK_ROWS, rows: CHUNK_ROWS });
  return chunks;
}
