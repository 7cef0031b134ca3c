import { WinnowError } from "../../errors.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import { dequantize } from "../../formats/ggml/dequantize.ts";
import { type Gguf, type GgufTensor, tensorNamed } from "../../formats/gguf/gguf.ts";
import type { GpuContext } from "../../gpu/context.ts";
import { CHUNK_ROWS } from "../buffers.ts";
import type { ModelConfig } from "../config.ts";
import type { BlockRows, TokenRows } from "../token-rows.ts";
import { TABLE } from "./tensors.ts";

/** Rows that stay in memory as they lie in the file, the latest used ones, if no more are asked for at once. */
const KEPT_ROWS = 2048;

/**
 * The rows that per-layer embeddings have for tokens: read from the file, a few kept in memory as they are there,
 * uploaded with the step that needs them. The table itself, near half of a model's weights, never lies on the GPU.
 */
export class TableRows implements TokenRows {
  /** f32 [CHUNK_ROWS, blocks, P]: rows of a step's tokens, times sqrt(P) */
  readonly table: GPUBuffer;
  /** f32 [CHUNK_ROWS, blocks, P]: what is made of their embeddings */
  readonly projected: GPUBuffer;
  /** f32 [blocks, CHUNK_ROWS, P]: what each layer takes */
  readonly inputs: GPUBuffer;
  private readonly gpu: GpuContext;
  private readonly source: ByteSource;
  private readonly tensor: GgufTensor;
  private readonly blocks: number;
  private readonly size: number;
  private readonly rowBytes: number;
  /** By token, the one used longest ago first. */
  private readonly kept = new Map<number, Uint8Array>();

  constructor(
    gpu: GpuContext,
    { blocks, vocabulary, layerwise }: ModelConfig,
    { source, gguf }: { readonly source: ByteSource; readonly gguf: Gguf },
  ) {
    this.gpu = gpu;
    this.source = source;
    this.tensor = tensorNamed(gguf, TABLE)!;
    this.blocks = blocks.length;
    this.size = layerwise!.inputSize;
    this.rowBytes = this.tensor.byteLength / vocabulary;
    const storage = (name: string): GPUBuffer =>
      gpu.ledger.storage("activations", name, this.bytes(CHUNK_ROWS));
    this.table = storage("per-layer rows");
    this.projected = storage("per-layer projections");
    this.inputs = storage("per-layer inputs");
  }

  read(tokens: readonly number[]): Promise<unknown> | undefined {
    const wanted = new Set(tokens);
    const missing: number[] = [];
    for (const token of wanted) {
      const row = this.kept.get(token);
      this.kept.delete(token);
      if (row) this.kept.set(token, row);
      else missing.push(token);
    }
    if (missing.length === 0) return undefined;
    const { source, tensor, rowBytes } = this;
    const reading = missing.map(async (token) => {
      this.kept.set(token, await source.read(tensor.offset + token * rowBytes, rowBytes));
    });
    return Promise.all(reading).then(() => {
      for (const token of this.kept.keys()) {
        if (this.kept.size <= Math.max(KEPT_ROWS, wanted.size)) break;
        this.kept.delete(token);
      }
    });
  }

  write(tokens: readonly number[]): void {
    this.gpu.write(this.table, this.rowsOf(tokens));
  }

  block(tokens: readonly number[]): BlockRows {
    const { gpu, table, inputs, blocks, size } = this;
    const kept = gpu.ledger.storage("staging", "per-layer block", this.bytes(tokens.length));
    gpu.write(kept, this.rowsOf(tokens));
    // A chunk's part holds its rows of the table, then [blocks, rows, P] of what its layers take.
    const part = (first: number, rows: number, layer: number) => ({
      at: (first * blocks + layer * rows) * size * 4,
      inStep: layer * CHUNK_ROWS * size * 4,
      bytes: rows * size * 4,
    });
    return {
      encodeTake: (encoder, first, rows, layer) => {
        if (layer === undefined) {
          encoder.copyBufferToBuffer(kept, this.bytes(first), table, 0, this.bytes(rows));
          return;
        }
        const { at, inStep, bytes } = part(first, rows, layer);
        encoder.copyBufferToBuffer(kept, at, inputs, inStep, bytes);
      },
      encodeKeep: (encoder, first, rows) => {
        for (let layer = 0; layer < blocks; layer += 1) {
          const { at, inStep, bytes } = part(first, rows, layer);
          encoder.copyBufferToBuffer(inputs, inStep, kept, at, bytes);
        }
      },
      dispose: () => gpu.ledger.destroy(kept),
    };
  }

  private bytes(rows: number): number {
    return rows * this.blocks * this.size * 4;
  }

  /** f32 [rows, blocks, P], times sqrt(P) as the model has it. */
  private rowsOf(tokens: readonly number[]): Float32Array<ArrayBuffer> {
    const width = this.blocks * this.size;
    const scale = Math.fround(Math.sqrt(this.size));
    const rows = new Float32Array(tokens.length * width);
    tokens.forEach((token, i) => {
      const bytes = this.kept.get(token);
      if (!bytes)
        throw new WinnowError("internal", `the row of token ${token} is needed before it is read`);
      const values = dequantize(this.tensor.type, bytes, width);
      rows.set(
        values.map((value) => value * scale),
        i * width,
      );
    });
    return rows;
  }
}
