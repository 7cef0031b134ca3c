import { WinnowError } from "../../errors.ts";
import { BlobSource } from "../../formats/blob-source.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import { delay } from "../delay.ts";
import { webLocks } from "./locks.ts";
import {
  type ModelStore,
  parseRecord,
  type Release,
  type StoredFile,
  type StoreFile,
} from "./model-store.ts";
import { memoryStore } from "./open-memory.ts";

/** Only in TypeScript's worker library; only there in dedicated workers. */
interface SyncAccessHandle {
  read(buffer: Uint8Array, options: { at: number }): number;
  write(buffer: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

type SyncFileHandle = FileSystemFileHandle & {
  createSyncAccessHandle?: () => Promise<SyncAccessHandle>;
};

const DIRECTORY = ["winnow", "models"];
/** A record keeps its length, so that rewriting it needs no space that a full disk has not. */
const RECORD_BYTES = 1024;
/** A page that was left a moment ago may hold its files a little longer. */
const TRIES_AFTER_MS = [20, 60, 120, 200, 250, 300];

/**
 * Models in the origin private file system, under winnow/models/: `<key>.gguf` holds the bytes,
 * `<key>.json` the record, `<key>.used` the time of the last use. Writing needs a dedicated worker (synchronous access handles, which lock
 * the file); complete models are read without a lock, so that several tabs can share one.
 */
export class OpfsStore implements ModelStore {
  readonly persistent = true;
  readonly #directory: FileSystemDirectoryHandle;

  constructor(directory: FileSystemDirectoryHandle) {
    this.#directory = directory;
  }

  async find(key: string): Promise<StoredFile | undefined> {
    try {
      const handle = await this.#directory.getFileHandle(`${key}.json`);
      return parseRecord(await (await handle.getFile()).text());
    } catch {
      // Missing, or locked by a tab that writes it this moment: as good as not there.
      return undefined;
    }
  }

  async list(): Promise<ReadonlyMap<string, StoredFile>> {
    const records = new Map<string, StoredFile>();
    for await (const name of this.#directory.keys()) {
      if (!name.endsWith(".json")) continue;
      const key = name.slice(0, -".json".length);
      const record = await this.find(key);
      if (record !== undefined) records.set(key, record);
    }
    return records;
  }

  async source(key: string, name: string): Promise<ByteSource> {
    const handle = await this.#directory.getFileHandle(`${key}.gguf`);
    return new BlobSource(await handle.getFile(), name);
  }

  /**
   * Both files stay open until `close`, and nothing is awaited in between: Chromium was seen to lose
   * the answer when a handle is opened for every writing of the record (one load in about twenty).
   */
  async open(key: string): Promise<StoreFile> {
    const access = await this.#access(`${key}.gguf`);
    const record = await this.#access(`${key}.json`).catch((error: unknown) => {
      access.close();
      throw error;
    });
    let size = access.getSize();
    return {
      get size() {
        return size;
      },
      read(offset, length) {
        const bytes = new Uint8Array(length);
        const got = access.read(bytes, { at: offset });
        if (got !== length)
          throw new WinnowError(
            "internal",
            `read ${got} of ${length} bytes at ${offset} of ${key}`,
          );
        return bytes;
      },
      append(bytes) {
        try {
          for (let done = 0; done < bytes.length; ) {
            const wrote = access.write(bytes.subarray(done), { at: size });
            if (wrote === 0) throw new DOMException("nothing was written", "QuotaExceededError");
            done += wrote;
            size += wrote;
          }
        } catch (cause) {
          throw storageFull(size, cause);
        }
      },
      truncate(newSize) {
        access.truncate(newSize);
        size = newSize;
      },
      save(stored) {
        access.flush();
        const bytes = new TextEncoder().encode(JSON.stringify(stored).padEnd(RECORD_BYTES));
        try {
          record.write(bytes, { at: 0 });
          record.truncate(bytes.length);
          record.flush();
        } catch (cause) {
          throw storageFull(size, cause);
        }
      },
      close() {
        access.close();
        record.close();
      },
    };
  }

  async remove(key: string): Promise<void> {
    for (const name of [`${key}.json`, `${key}.gguf`, `${key}.used`])
      await this.#directory.removeEntry(name).catch((error: unknown) => {
        if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
      });
  }

  lock(key: string, signal: AbortSignal): Promise<Release> {
    return webLocks.lock(key, signal);
  }

  tryLock(key: string): Promise<Release | undefined> {
    return webLocks.tryLock(key);
  }

  async touch(key: string): Promise<void> {
    // Its date is what counts; what is awaited here holds nothing up.
    const access = await this.#access(`${key}.used`);
    access.write(Uint8Array.of(1), { at: 0 });
    access.flush();
    access.close();
  }

  async lastUsed(key: string): Promise<Date | undefined> {
    try {
      const handle = await this.#directory.getFileHandle(`${key}.used`);
      return new Date((await handle.getFile()).lastModified);
    } catch {
      return undefined;
    }
  }

  async #access(name: string): Promise<SyncAccessHandle> {
    const handle: SyncFileHandle = await this.#directory.getFileHandle(name, { create: true });
    if (handle.createSyncAccessHandle === undefined)
      throw new Error("synchronous file access is only there in a dedicated worker");
    for (const ms of TRIES_AFTER_MS) {
      try {
        return await handle.createSyncAccessHandle();
      } catch (error) {
        const held = error instanceof DOMException && error.name === "NoModificationAllowedError";
        if (!held) throw error;
        await delay(ms);
      }
    }
    return handle.createSyncAccessHandle();
  }
}

const storageFull = (received: number, cause: unknown): WinnowError =>
  new WinnowError("out_of_memory", "the browser's storage for this site is full", {
    hint: "Free some disk space or remove other models (removeModel), then load again; what came is kept.",
    details: { received },
    cause,
  });

/** The OPFS store, or one in memory where OPFS is missing or refused (private windows, Node). */
export async function openModelStore(): Promise<ModelStore> {
  try {
    let directory = await globalThis.navigator.storage.getDirectory();
    for (const name of DIRECTORY)
      directory = await directory.getDirectoryHandle(name, { create: true });
    return new OpfsStore(directory);
  } catch {
    return memoryStore();
  }
}
