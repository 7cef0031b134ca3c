import type { Compressor } from "../cache/compressor.ts";
import type { KvSequence } from "../cache/kv-sequence.ts";
import { throwIfAborted } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import { type Dispatch, encodeDispatches } from "../gpu/kernel.ts";
import { BATCH_WORDS, ROW_WORDS } from "../kernels/batch.ts";
import { CHUNK_ROWS } from "../model/buffers.ts";
import type { Transformer } from "../model/transformer.ts";

/** Layers that are submitted before the first of them must be done: an abort waits for these. */
const LAYERS_AHEAD = 2;

export interface PromptBlock {
  readonly gpu: GpuContext;
  readonly transformer: Transformer;
  readonly compressor: Compressor;
  readonly sequence: KvSequence;
  readonly tokens: readonly number[];
}

/**
 * Puts a prompt block through the model layer by layer: in each, all rows attend to the cache and to the
 * whole block, and only then is that layer's cache compressed. So a prompt is read in full before anything
 * of it is dropped, and beside the budget just one layer's keys and values are held.
 *
 * Within a layer the block runs in chunks of CHUNK_ROWS: one submit a layer, which leaves nothing behind
 * that other conversations' steps could disturb but the block's residual stream. The sequence is torn
 * until the last layer is in: after an abort or an error it must be freed.
 *
 * `onLayer` is called right after each layer is submitted; during the last call row (M - 1) % CHUNK_ROWS of
 * the residual stream is the last token's.
 */
export async function runPromptBlock(
  { gpu, transformer, compressor, sequence, tokens }: PromptBlock,
  onLayer: (layer: number, layers: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { buffers, config } = transformer;
  const rows = tokens.length;
  const start = sequence.tokensSeen;
  const sizes = chunkSizes(rows);
  sequence.reserve(rows);
  gpu.write(
    buffers.blockRows,
    new Uint32Array(tokens.flatMap((token, i) => [token, start + i, sequence.lane, i])),
  );
  const batches = sizes.flatMap((size) => [size, 0, 1, 0]);
  const batchBuffer = gpu.ledger.storage("staging", "block batches", batches.length * 4);
  gpu.write(batchBuffer, new Uint32Array(batches));
  const rowBytes = config.hidden * 4;
  const running: Promise<unknown>[] = [];
  try {
    for (let layer = 0; layer < config.layers; layer += 1) {
      throwIfAborted(signal);
      compressor.target(sequence, rows, start + rows - 1);
      const encoder = gpu.device.createCommandEncoder();
      sizes.forEach((size, chunk) => {
        const { embed, layers } = transformer.chunk(size);
        const { project, attend } = layers[layer]!;
        const first = chunk * CHUNK_ROWS;
        const copyRows = size * ROW_WORDS * 4;
        encoder.copyBufferToBuffer(
          buffers.blockRows,
          first * ROW_WORDS * 4,
          buffers.rows,
          0,
          copyRows,
        );
        encoder.copyBufferToBuffer(
          batchBuffer,
          chunk * BATCH_WORDS * 4,
          buffers.batch,
          0,
          BATCH_WORDS * 4,
        );
        const { hidden, blockHidden } = buffers;
        if (layer > 0)
          encoder.copyBufferToBuffer(blockHidden, first * rowBytes, hidden, 0, size * rowBytes);
        encodePass(encoder, [...(layer === 0 ? embed : []), ...project, ...attend]);
        encoder.copyBufferToBuffer(hidden, 0, blockHidden, first * rowBytes, size * rowBytes);
      });
      encodePass(encoder, transformer.chunk(sizes[0]!).layers[layer]!.absorb);
      gpu.device.queue.submit([encoder.finish()]);
      sequence.advanceLayer(layer, rows);
      if (layer === config.layers - 1) sequence.endBlock(rows);
      onLayer(layer, config.layers);
      running.push(gpu.device.queue.onSubmittedWorkDone());
      if (running.length > LAYERS_AHEAD) await running.shift();
    }
    await Promise.all(running);
  } finally {
    gpu.ledger.destroy(batchBuffer);
  }
}

/** Rows of each chunk of a block: CHUNK_ROWS, and what is left. */
const chunkSizes = (rows: number): number[] =>
  Array.from({ length: Math.ceil(rows / CHUNK_ROWS) }, (_, i) =>
    Math.min(CHUNK_ROWS, rows - i * CHUNK_ROWS),
  );

function encodePass(encoder: GPUCommandEncoder, dispatches: readonly Dispatch[]): void {
  const pass = encoder.beginComputePass();
  encodeDispatches(pass, dispatches);
  pass.end();
}
