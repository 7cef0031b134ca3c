import { loadLater } from "../../errors.ts";
import type { ByteSource } from "../../formats/byte-source.ts";

/** A stored model's record, kept beside its bytes. */
export interface StoredModel {
  readonly url: string;
  /** Bytes of the whole file. */
  readonly size: number;
  readonly etag?: string;
  /** The hub's commit that `sha256` and `size` were stated for: the rest comes from there too. */
  readonly commit?: string;
  /** Lower-case hex: of the bytes once `verified`, before that what is expected, if anything. */
  readonly sha256?: string;
  /** Bytes stored so far, from the start. */
  readonly received: number;
  /** All bytes are there and their hash was computed, and was the expected one if there was one. */
  readonly verified: boolean;
}

/** A stored file open for appending; only one can be open for a key at a time. */
export interface StoreFile {
  /** Bytes held. */
  readonly size: number;
  read(offset: number, length: number): Uint8Array;
  append(bytes: Uint8Array): void;
  truncate(size: number): void;
  /** Writes the record; the bytes it speaks of are flushed first. */
  save(record: StoredModel): void;
  close(): void;
}

/** Where models are kept. Keys are file-name safe: see `storeKey`. */
export interface ModelStore {
  /** Survives the page. */
  readonly persistent: boolean;
  find(key: string): Promise<StoredModel | undefined>;
  list(): Promise<ReadonlyMap<string, StoredModel>>;
  /** The bytes of a complete model; any number of readers. */
  source(key: string, name: string): Promise<ByteSource>;
  /** Throws when the store cannot be written, or the file is open elsewhere (another tab). */
  open(key: string): Promise<StoreFile>;
  remove(key: string): Promise<void>;
}

/** A store for as long as it lives, where nothing can be kept. */
export async function memoryStore(): Promise<ModelStore> {
  const load = () => import("./memory-store.ts");
  const { MemoryStore } = await loadLater("models in memory", load);
  return new MemoryStore();
}

/** undefined for anything that is not a record, e.g. one whose writing was cut off. */
export function parseRecord(json: string): StoredModel | undefined {
  const record = JSON.parse(json) as Partial<StoredModel> | null;
  const sound =
    typeof record?.url === "string" &&
    typeof record.size === "number" &&
    typeof record.received === "number" &&
    typeof record.verified === "boolean";
  return sound ? (record as StoredModel) : undefined;
}
