import type { ByteSource } from "../../formats/byte-source.ts";
import type { Validators } from "../validators.ts";

/** A stored file's record, kept beside its bytes. */
export interface StoredFile extends Validators {
  readonly url: string;
  /** What the caller asked for by it: a model's name or address. Several files may belong to one model. */
  readonly model?: string;
  /** Bytes of the whole file; what has come so far where the server does not tell. */
  readonly size: number;
  /** The hub's commit that `sha256` and `size` were stated for: the rest comes from there too. */
  readonly commit?: string;
  /** Lower-case hex: of the bytes once `verified`, before that what is expected, if anything. */
  readonly sha256?: string;
  /** Bytes stored so far, from the start. */
  readonly received: number;
  /** All bytes are there and their hash was computed, and was the expected one if there was one. */
  readonly verified: boolean;
  /** When the last byte came, in milliseconds since 1970. */
  readonly storedAt?: number;
}

/** A stored file open for appending; only one can be open for a key at a time. */
export interface StoreFile {
  /** Bytes held. */
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
  append(bytes: Uint8Array): void;
  truncate(size: number): void;
  /** Writes the record; the bytes it speaks of are flushed first. */
  save(record: StoredFile): void;
  close(): void;
}

/** A stored file that can be read; `close` gives up what holds it open. */
export interface StoredSource extends ByteSource {
  close?(): Promise<void>;
}

export type Release = () => void;

/** Where models are kept. Keys are file-name safe: see `storeKey`. */
export interface ModelStore {
  /** Survives the page or the process. */
  readonly persistent: boolean;
  find(key: string): Promise<StoredFile | undefined>;
  list(): Promise<ReadonlyMap<string, StoredFile>>;
  /** The bytes of a complete file; any number of readers. */
  source(key: string, name: string): Promise<StoredSource>;
  /** Throws when the store cannot be written, or the file is open elsewhere. */
  open(key: string): Promise<StoreFile>;
  remove(key: string): Promise<void>;
  /** Waits until nobody else, in any tab or process that shares the store, holds `key`. Rejects with the signal. */
  lock(key: string, signal: AbortSignal): Promise<Release>;
  /** The same without waiting: undefined where somebody holds it. */
  tryLock(key: string): Promise<Release | undefined>;
  /** Notes that the file was used now. */
  touch(key: string): Promise<void>;
  lastUsed(key: string): Promise<Date | undefined>;
}

/** undefined for anything that is not a record, e.g. one whose writing was cut off. */
export function parseRecord(json: string): StoredFile | undefined {
  const record = JSON.parse(json) as Partial<StoredFile> | null;
  const sound =
    typeof record?.url === "string" &&
    typeof record.size === "number" &&
    typeof record.received === "number" &&
    typeof record.verified === "boolean";
  return sound ? (record as StoredFile) : undefined;
}
