import type { Compressor } from "../../cache/compressor.ts";
import type { Scorer } from "../../cache/scorer.ts";
import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import { throwIfAborted } from "../../errors.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { encodePass } from "../../gpu/kernel.ts";
import { BATCH, consecutiveRows, ROW } from "../../kernels/records.ts";
import { CHUNK_ROWS } from "../../model/buffers.ts";
import type { Transformer } from "../../model/transformer.ts";

/** Layers that are submitted before the first of them must be done: an abort waits for these. */
const LAYERS_AHEAD = 2;

export interface PromptBlock {
  readonly gpu: GpuContext;
  readonly transformer: Transformer;
  readonly compressor: Compressor;
  readonly scorer: Scorer;
  readonly sequence: KvSequence;
  readonly tokens: readonly number[];
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
 * `onLayer` is called right after each layer is submitted; during the last call the residual stream is that
 * of the last chunk, which has min(M, CHUNK_ROWS) rows.
 */
export async function runPromptBlock(
  { gpu, transformer, compressor, scorer, sequence, tokens }: PromptBlock,
  onLayer: (layer: number, layers: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { buffers, config } = transformer;
  const rows = tokens.length;
  const start = sequence.tokensSeen;
  const { settings } = sequence;
  const chunks = chunksOf(rows);
  const lastRows = chunks[chunks.length - 1]!.rows;
  sequence.reserve(rows);
  gpu.write(buffers.blockRows, ROW.pack(...consecutiveRows(tokens, start, sequence.lane)));
  const batches = BATCH.pack(...chunks.map((chunk) => ({ rows: chunk.rows, first: 0, splits: 1 })));
  const batchBuffer = gpu.ledger.storage("staging", "block batches", batches.byteLength);
  gpu.write(batchBuffer, batches);
  const [hiddenBytes, rowBytes, batchBytes] = [config.hidden * 4, ROW.words * 4, BATCH.words * 4];
  const queries = scorer.observed(settings.policy, lastRows);
  const observation = { queries, firstQuery: lastRows - queries };
  const running: Promise<unknown>[] = [];
  try {
    const { blocks } = config;
    for (const [block, { kind, index: layer }] of blocks.entries()) {
      throwIfAborted(signal);
      compressor.target(sequence, rows, start + rows - 1, observation);
      if (sequence.states) transformer.states?.write(sequence.states.moves);
      const encoder = gpu.device.createCommandEncoder();
      chunks.forEach(({ first, rows: size }, i) => {
        const { rows: chunkRows, batch, hidden, blockRows, blockHidden } = buffers;
        encoder.copyBufferToBuffer(blockRows, first * rowBytes, chunkRows, 0, size * rowBytes);
        encoder.copyBufferToBuffer(batchBuffer, i * batchBytes, batch, 0, batchBytes);
        const [at, bytes] = [first * hiddenBytes, size * hiddenBytes];
        if (i > 0) transformer.states?.encodeNext(encoder);
        if (block > 0) encoder.copyBufferToBuffer(blockHidden, at, hidden, 0, bytes);
        const { project, attend } = transformer.chunkLayer(size, block);
        encodePass(encoder, [
          ...(block === 0 ? transformer.embed(size) : []),
          ...project,
          ...attend,
        ]);
        encoder.copyBufferToBuffer(hidden, 0, blockHidden, at, bytes);
      });
      if (kind === "attention")
        encodePass(encoder, [
          ...scorer.block(settings, layer),
          ...compressor.absorb(layer, { evicts: true, policy: settings.policy }),
        ]);
      gpu.device.queue.submit([encoder.finish()]);
      sequence.advanceLayer(kind === "attention" ? layer : undefined, rows);
      if (block === blocks.length - 1) sequence.endBlock(rows);
      onLayer(block, blocks.length);
      running.push(gpu.done());
      if (running.length > LAYERS_AHEAD) await running.shift();
    }
    await Promise.all(running);
  } finally {
    gpu.ledger.destroy(batchBuffer);
  }
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
