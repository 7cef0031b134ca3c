import { WinnowError } from "../../errors.ts";
import { BlobSource } from "../../formats/blob-source.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import {
  type ModelStore,
  memoryStore,
  parseRecord,
  type StoredModel,
  type StoreFile,
} from "./model-store.ts";

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

/**
 * Models in the origin private file system, under winnow/models/: `<key>.gguf` holds the bytes,
 * `<key>.json` the record. Writing needs a dedicated worker (synchronous access handles, which lock
 * the file); complete models are read without a lock, so that several tabs can share one.
 */
export class OpfsStore implements ModelStore {
  readonly persistent = true;
  readonly #directory: FileSystemDirectoryHandle;

  constructor(directory: FileSystemDirectoryHandle) {
    this.#directory = directory;
  }

  async find(key: string): Promise<StoredModel | undefined> {
    try {
      const handle = await this.#directory.getFileHandle(`${key}.json`);
      return parseRecord(await (await handle.getFile()).text());
    } catch {
      // Missing, or locked by a tab that writes it this moment: as good as not there.
      return undefined;
    }
  }

  async list(): Promise<ReadonlyMap<string, StoredModel>> {
    const records = new Map<string, StoredModel>();
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
          throw new WinnowError("out_of_memory", "the browser's storage for this site is full", {
            hint: "Free some disk space or remove other models, then load again; what came is kept.",
            details: { received: size },
            cause,
          });
        }
      },
      truncate(newSize) {
        access.truncate(newSize);
        size = newSize;
      },
      save(stored) {
        access.flush();
        const bytes = new TextEncoder().encode(JSON.stringify(stored));
        record.truncate(0);
        record.write(bytes, { at: 0 });
        record.flush();
      },
      close() {
        access.close();
        record.close();
      },
    };
  }

  async remove(key: string): Promise<void> {
    for (const name of [`${key}.json`, `${key}.gguf`])
      await this.#directory.removeEntry(name).catch((error: unknown) => {
        if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
      });
  }

  async #access(name: string): Promise<SyncAccessHandle> {
    const handle: SyncFileHandle = await this.#directory.getFileHandle(name, { create: true });
    if (handle.createSyncAccessHandle === undefined)
      throw new Error("synchronous file access is only there in a dedicated worker");
    return handle.createSyncAccessHandle();
  }
}

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
