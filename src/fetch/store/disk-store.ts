import { createHash } from "node:crypto";
import {
  closeSync,
  createReadStream,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { mkdir, readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { WinnowError } from "../../errors.ts";
import { NodeFileSource } from "../../formats/node-source.ts";
import { lockFile } from "./lock-file.ts";
import {
  type ModelStore,
  parseRecord,
  type Release,
  type StoredFile,
  type StoredSource,
  type StoreFile,
} from "./model-store.ts";

/** A record on disk: a file that was changed since has another date. */
interface DiskRecord extends StoredFile {
  readonly modified?: number;
}

/** A file that lies in the folder under a name of its own, e.g. for a server to offer it. */
export interface NamedFile {
  readonly file: string;
  readonly url: string;
  readonly bytes: number;
  readonly model: string;
}

/**
 * Models in a folder of the disk, for Node: `<key>.gguf`, or the name that `named` gives, holds the bytes once all are
 * there, `<key>.part` before that, `<key>.json` the record. Processes may share the folder. A named file that somebody
 * else put there is taken when its SHA-256 is the one of its key.
 */
export class DiskStore implements ModelStore {
  readonly persistent = true;
  readonly #folder: string;
  readonly #named: ReadonlyMap<string, NamedFile>;

  constructor(folder: string, named: ReadonlyMap<string, NamedFile> = new Map()) {
    this.#folder = folder;
    this.#named = named;
  }

  /** Where the bytes of a complete file lie. */
  pathOf(key: string): string {
    return join(this.#folder, this.#named.get(key)?.file ?? `${key}.gguf`);
  }

  async find(key: string): Promise<StoredFile | undefined> {
    const record = await this.#record(key);
    const path = this.pathOf(key);
    const modified = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (modified === undefined) return record?.verified ? undefined : record;
    if (record?.modified === modified) return record;
    // Copied, restored, put here by hand, or damaged: its bytes tell.
    const known = record?.verified ? record : this.#expected(key);
    if (known === undefined || (await hashOf(path)) !== known.sha256)
      return record?.verified ? undefined : record;
    const taken: DiskRecord = { ...known, modified, storedAt: known.storedAt ?? modified };
    try {
      this.#write(key, taken);
    } catch {
      // A folder that cannot be written: it is hashed again the next time.
    }
    return taken;
  }

  async list(): Promise<ReadonlyMap<string, StoredFile>> {
    const names = await readdir(this.#folder).catch(() => [] as string[]);
    const keys = names.flatMap((name) => (name.endsWith(".json") ? [name.slice(0, -5)] : []));
    const records = new Map<string, StoredFile>();
    for (const key of new Set([...keys, ...this.#named.keys()])) {
      const record = await this.find(key);
      if (record) records.set(key, record);
    }
    return records;
  }

  async source(key: string, name: string): Promise<StoredSource> {
    return NodeFileSource.open(this.pathOf(key), name);
  }

  async open(key: string): Promise<StoreFile> {
    await mkdir(this.#folder, { recursive: true });
    const part = join(this.#folder, `${key}.part`);
    const file = openSync(part, "a+");
    let { size } = statSync(part);
    let finished: StoredFile | undefined;
    return {
      get size() {
        return size;
      },
      read(offset, length) {
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length; ) {
          const got = readSync(file, bytes, done, length - done, offset + done);
          if (got === 0) throw new WinnowError("internal", `${part} ended at ${offset + done}`);
          done += got;
        }
        return bytes;
      },
      append(bytes) {
        try {
          for (let done = 0; done < bytes.length; ) {
            const wrote = writeSync(file, bytes, done);
            done += wrote;
            size += wrote;
          }
        } catch (cause) {
          throw diskFull(part, size, cause);
        }
      },
      truncate(to) {
        ftruncateSync(file, to);
        size = to;
      },
      save: (record) => {
        try {
          fsyncSync(file);
          finished = record.verified ? record : undefined;
          if (!finished) this.#write(key, record);
        } catch (cause) {
          throw diskFull(part, size, cause);
        }
      },
      close: () => {
        closeSync(file);
        if (finished) this.#finish(key, part, finished);
      },
    };
  }

  async remove(key: string): Promise<void> {
    // A file that somebody else put under the same name is theirs.
    const own = (await this.#record(key))?.verified ? [this.pathOf(key)] : [];
    const beside = [".json", ".part"].map((end) => join(this.#folder, key + end));
    for (const path of [...beside, ...own]) await rm(path, { force: true });
  }

  lock(key: string, signal: AbortSignal): Promise<Release> {
    return lockFile(join(this.#folder, `${key}.lock`), signal);
  }

  async tryLock(key: string): Promise<Release | undefined> {
    const now = AbortSignal.abort();
    return lockFile(join(this.#folder, `${key}.lock`), now).catch((error: unknown) => {
      if (now.reason === error) return undefined;
      throw error;
    });
  }

  /** The record's date. */
  async touch(key: string): Promise<void> {
    const now = new Date();
    await utimes(join(this.#folder, `${key}.json`), now, now);
  }

  async lastUsed(key: string): Promise<Date | undefined> {
    return (await stat(join(this.#folder, `${key}.json`)).catch(() => undefined))?.mtime;
  }

  async #record(key: string): Promise<DiskRecord | undefined> {
    try {
      return parseRecord(await readFile(join(this.#folder, `${key}.json`), "utf8"));
    } catch {
      return undefined;
    }
  }

  #expected(key: string): DiskRecord | undefined {
    const named = this.#named.get(key);
    const sha256 = /^sha256-([0-9a-f]{64})$/.exec(key)?.[1];
    if (named === undefined || sha256 === undefined) return undefined;
    const { url, model, bytes } = named;
    return { url, model, size: bytes, received: bytes, sha256, verified: true };
  }

  /** The bytes first: a record never speaks of a file that is not there. */
  #finish(key: string, part: string, record: StoredFile): void {
    const path = this.pathOf(key);
    renameSync(part, path);
    this.#write(key, { ...record, modified: statSync(path).mtimeMs } as DiskRecord);
  }

  /** Whole or not at all, also for a process that reads meanwhile. */
  #write(key: string, record: StoredFile): void {
    mkdirSync(this.#folder, { recursive: true });
    const path = join(this.#folder, `${key}.json`);
    const fresh = `${path}.${process.pid}.new`;
    writeFileSync(fresh, JSON.stringify(record));
    renameSync(fresh, path);
  }
}

const diskFull = (path: string, received: number, cause: unknown): WinnowError =>
  new WinnowError("out_of_memory", `${path}: ${(cause as Error).message}`, {
    hint: "Free some disk space, or remove other models (winnow models --remove), then load again; what came is kept.",
    details: { received },
    cause,
  });

/** Lower-case hex SHA-256 of a file. */
async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path, { highWaterMark: 2 ** 20 }))
    hash.update(bytes as Buffer);
  return hash.digest("hex");
}
