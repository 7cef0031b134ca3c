import { throwIfAborted, WinnowError } from "../../errors.ts";
import { checkRange } from "../../formats/blob-source.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import { LocalLocks } from "./locks.ts";
import type { ModelStore, Release, StoredFile, StoreFile } from "./model-store.ts";

/**
 * Bytes as they came, in a list of chunks: memory follows what has arrived, never what a server
 * claims it will send.
 */
class ChunkList {
  readonly #chunks: Uint8Array[] = [];
  /** Where each chunk ends. */
  readonly #ends: number[] = [];

  get size(): number {
    return this.#ends.at(-1) ?? 0;
  }

  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#chunks.push(bytes.slice());
    this.#ends.push(this.size + bytes.length);
  }

  truncate(size: number): void {
    while (this.size > size) {
      const chunk = this.#chunks.pop()!;
      const start = this.#ends.pop()! - chunk.length;
      if (start < size) this.append(chunk.subarray(0, size - start));
    }
  }

  read(offset: number, length: number): Uint8Array {
    const out = new Uint8Array(length);
    let low = 0;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ends[middle]! > offset) high = middle;
      else low = middle + 1;
    }
    let done = 0;
    for (let i = low; done < length; i++) {
      const chunk = this.#chunks[i]!;
      const from = offset + done - (this.#ends[i]! - chunk.length);
      const part = chunk.subarray(from, from + length - done);
      out.set(part, done);
      done += part.length;
    }
    return out;
  }
}

/** Keeps models for as long as it lives: private windows, Node, tests. */
export class MemoryStore implements ModelStore {
  readonly persistent = false;
  readonly #files = new Map<string, { bytes: ChunkList; record?: StoredFile }>();
  readonly #open = new Set<string>();
  readonly #locks = new LocalLocks();
  readonly #used = new Map<string, Date>();

  async find(key: string): Promise<StoredFile | undefined> {
    return this.#files.get(key)?.record;
  }

  async list(): Promise<ReadonlyMap<string, StoredFile>> {
    const records = new Map<string, StoredFile>();
    for (const [key, { record }] of this.#files) if (record) records.set(key, record);
    return records;
  }

  async source(key: string, name: string): Promise<ByteSource> {
    const bytes = this.#files.get(key)?.bytes;
    if (bytes === undefined) throw new WinnowError("internal", `${name} is not in the store`);
    const source: ByteSource = {
      name,
      size: bytes.size,
      read: async (offset, length, signal) => {
        throwIfAborted(signal);
        checkRange(source, offset, length);
        return bytes.read(offset, length);
      },
    };
    return source;
  }

  async open(key: string): Promise<StoreFile> {
    if (this.#open.has(key)) throw new Error(`${key} is open already`);
    this.#open.add(key);
    const file: { bytes: ChunkList; record?: StoredFile } = this.#files.get(key) ?? {
      bytes: new ChunkList(),
    };
    this.#files.set(key, file);
    const { bytes } = file;
    return {
      get size() {
        return bytes.size;
      },
      read: (offset, length) => bytes.read(offset, length),
      append: (chunk) => bytes.append(chunk),
      truncate: (size) => bytes.truncate(size),
      save: (record) => {
        file.record = record;
      },
      close: () => {
        this.#open.delete(key);
      },
    };
  }

  async remove(key: string): Promise<void> {
    this.#files.delete(key);
  }

  lock(key: string, signal: AbortSignal): Promise<Release> {
    return this.#locks.lock(key, signal);
  }

  async tryLock(key: string): Promise<Release | undefined> {
    return this.#locks.tryLock(key);
  }

  async touch(key: string): Promise<void> {
    this.#used.set(key, new Date());
  }

  async lastUsed(key: string): Promise<Date | undefined> {
    return this.#used.get(key);
  }
}
