import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { WinnowError } from "../errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { type ModelStore, parseRecord, type StoredModel, type StoreFile } from "./model-store.ts";
import { NodeFileSource } from "./node-source.ts";

/** Models in a folder on disk, for Node: `<key>.gguf` and `<key>.json`, as the OPFS store has them. */
export class NodeStore implements ModelStore {
  readonly persistent = true;
  readonly #folder: string;
  readonly #open = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async find(key: string): Promise<StoredModel | undefined> {
    try {
      return parseRecord(readFileSync(this.#path(`${key}.json`), "utf8"));
    } catch {
      return undefined;
    }
  }

  async list(): Promise<ReadonlyMap<string, StoredModel>> {
    const records = new Map<string, StoredModel>();
    let names: string[] = [];
    try {
      names = readdirSync(this.#folder);
    } catch {
      // No folder, no models.
    }
    for (const name of names.filter((one) => one.endsWith(".json"))) {
      const key = name.slice(0, -".json".length);
      const record = await this.find(key);
      if (record !== undefined) records.set(key, record);
    }
    return records;
  }

  source(key: string): Promise<ByteSource> {
    return NodeFileSource.open(this.#path(`${key}.gguf`));
  }

  async open(key: string): Promise<StoreFile> {
    if (this.#open.has(key)) throw new Error(`${key} is open already`);
    mkdirSync(this.#folder, { recursive: true });
    const path = this.#path(`${key}.gguf`);
    // "a" creates the file, but would append on every write wherever it stands.
    closeSync(openSync(path, "a"));
    const fd = openSync(path, "r+");
    this.#open.add(key);
    let size = statSync(path).size;
    return {
      get size() {
        return size;
      },
      read(offset, length) {
        const bytes = new Uint8Array(length);
        const got = readSync(fd, bytes, 0, length, offset);
        if (got !== length)
          throw new WinnowError(
            "internal",
            `read ${got} of ${length} bytes at ${offset} of ${path}`,
          );
        return bytes;
      },
      append(bytes) {
        try {
          for (let done = 0; done < bytes.length; ) {
            const wrote = writeSync(fd, bytes, done, bytes.length - done, size);
            done += wrote;
            size += wrote;
          }
        } catch (cause) {
          throw new WinnowError("out_of_memory", `${path}: ${(cause as Error).message}`, {
            hint: "Free some disk space, then load again; what came is kept.",
            details: { received: size },
            cause,
          });
        }
      },
      truncate(newSize) {
        ftruncateSync(fd, newSize);
        size = newSize;
      },
      save: async (record) => {
        fsyncSync(fd);
        // Renaming is atomic: a record is whole or the old one.
        writeFileSync(this.#path(`${key}.json.tmp`), JSON.stringify(record));
        renameSync(this.#path(`${key}.json.tmp`), this.#path(`${key}.json`));
      },
      close: () => {
        if (this.#open.delete(key)) closeSync(fd);
      },
    };
  }

  async remove(key: string): Promise<void> {
    for (const end of ["json", "gguf"]) rmSync(this.#path(`${key}.${end}`), { force: true });
  }
}
