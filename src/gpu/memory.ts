import { WinnowError } from "../errors.ts";

/** The purpose of a GPU buffer; the ledger adds up bytes by purpose. */
export type Purpose = "weights" | "kv" | "activations" | "staging";

/** GPU bytes that something needs, or will need. */
export interface Footprint {
  readonly weights: number;
  /** The cache's pages. */
  readonly kv: number;
  /** What steps compute with, buffers for reading back included. */
  readonly activations: number;
}

/**
 * The out_of_memory error of `what`, where it needs more bytes than the limit; else undefined. Every sum that does not
 * fit says so in this text: before a download, from the header, under new settings, and as a cache grows.
 */
export function misfit(
  what: string,
  { weights, kv, activations }: Footprint,
  memoryLimit: number,
  hint = "Lower cache.budget, raise memoryLimit, or use a smaller model.",
): WinnowError | undefined {
  const needed = weights + kv + activations;
  if (needed <= memoryLimit) return undefined;
  return new WinnowError(
    "out_of_memory",
    `${what} needs ${needed} bytes of GPU memory (weights ${weights}, cache ${kv}, activations ${activations}); the limit is ${memoryLimit}`,
    { hint, details: { needed, weights, kv, activations, memoryLimit } },
  );
}

/**
 * Every GPU buffer of Winnow is made and destroyed here, so the figures shown equal what was
 * allocated on the device: nothing else calls `device.createBuffer`.
 */
export class MemoryLedger {
  private readonly device: GPUDevice;
  private readonly live = new Map<GPUBuffer, Purpose>();
  private readonly bytes: Record<Purpose, number> = {
    weights: 0,
    kv: 0,
    activations: 0,
    staging: 0,
  };
  private created = 0;

  constructor(device: GPUDevice) {
    this.device = device;
  }

  /** A buffer of `size` bytes, rounded up to a multiple of 4. */
  create(purpose: Purpose, label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const rounded = Math.max(4, Math.ceil(size / 4) * 4);
    const buffer = this.device.createBuffer({ label, size: rounded, usage });
    this.live.set(buffer, purpose);
    this.bytes[purpose] += rounded;
    this.created += 1;
    return buffer;
  }

  /** A storage buffer that can also be copied from and to. */
  storage(purpose: Purpose, label: string, size: number): GPUBuffer {
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    return this.create(purpose, label, size, STORAGE | COPY_SRC | COPY_DST);
  }

  /** A uniform buffer holding `words`. */
  uniform(label: string, words: Uint32Array): GPUBuffer {
    const size = Math.ceil(words.byteLength / 16) * 16;
    const buffer = this.create(
      "activations",
      label,
      size,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
    this.device.queue.writeBuffer(buffer, 0, words.buffer, words.byteOffset, words.byteLength);
    return buffer;
  }

  destroy(buffer: GPUBuffer): void {
    const purpose = this.live.get(buffer);
    if (purpose === undefined) return;
    this.live.delete(buffer);
    this.bytes[purpose] -= buffer.size;
    buffer.destroy();
  }

  destroyAll(): void {
    for (const buffer of [...this.live.keys()]) this.destroy(buffer);
  }

  /** Bytes alive by purpose, and their sum. */
  report(): Record<Purpose, number> & { total: number } {
    const { weights, kv, activations, staging } = this.bytes;
    return { weights, kv, activations, staging, total: weights + kv + activations + staging };
  }

  /** Buffers created since the start: a flat figure means a loop that allocates nothing. */
  get buffersCreated(): number {
    return this.created;
  }
}
