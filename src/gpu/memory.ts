/** The purpose of a GPU buffer; the ledger adds up bytes by purpose. */
export type Purpose = "weights" | "kv" | "activations" | "staging";

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
