import type { GpuContext } from "../../../src/gpu/context.ts";
import { MemoryLedger } from "../../../src/gpu/memory.ts";

interface FakeBuffer {
  size: number;
  words: Uint32Array;
  destroyed: boolean;
  destroy(): void;
  getMappedRange(): ArrayBufferLike;
}

/** WebGPU's buffers and copies in plain memory: the cache's bookkeeping needs no more. */
export function fakeGpu(): GpuContext {
  const createBuffer = ({ size }: { size: number }): FakeBuffer => ({
    size,
    words: new Uint32Array(size / 4),
    destroyed: false,
    destroy() {
      this.destroyed = true;
    },
    getMappedRange() {
      return this.words.buffer;
    },
  });
  const write = (buffer: FakeBuffer, data: Uint32Array, byteOffset = 0): void => {
    if (buffer.destroyed) throw new Error("written after it was destroyed");
    buffer.words.set(data, byteOffset / 4);
  };
  const copy = (from: FakeBuffer, at: number, to: FakeBuffer, toAt: number, size: number): void => {
    if (from === to) throw new Error("a buffer cannot be copied onto itself");
    if (from.destroyed || to.destroyed) throw new Error("copied after it was destroyed");
    if (at + size > from.size || toAt + size > to.size) throw new Error("copied out of range");
    to.words.set(from.words.subarray(at / 4, (at + size) / 4), toAt / 4);
  };
  const device = {
    limits: { maxStorageBufferBindingSize: 2 ** 27, maxBufferSize: 2 ** 28 },
    createBuffer,
    createCommandEncoder: () => ({ copyBufferToBuffer: copy, finish: () => undefined }),
    queue: {
      submit: () => undefined,
      writeBuffer: (
        buffer: FakeBuffer,
        at: number,
        data: ArrayBuffer,
        from: number,
        size: number,
      ) => write(buffer, new Uint32Array(data, from, size / 4), at),
    },
  };
  const ledger = new MemoryLedger(device as unknown as GPUDevice);
  const copyWhole = (from: FakeBuffer, to: FakeBuffer): void =>
    copy(from, 0, to, 0, Math.min(from.size, to.size));
  const map = async (): Promise<void> => undefined;
  const read = async (buffer: FakeBuffer, offset = 0, size = buffer.size - offset) =>
    buffer.words.slice(offset / 4, (offset + size) / 4).buffer;
  return { device, ledger, write, copy: copyWhole, map, read } as unknown as GpuContext;
}

export const wordsOf = (buffer: GPUBuffer): Uint32Array => (buffer as unknown as FakeBuffer).words;

/** WebGPU's constants, where nobody else has set them. */
export function setGpuGlobals(): void {
  Object.assign(globalThis, {
    GPUBufferUsage: { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128 },
  });
}
