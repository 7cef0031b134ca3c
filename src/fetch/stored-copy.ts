/** What a store has of a file, and what a download is asked and gives. */
import { loadLater, type WinnowError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { fileNameOf } from "./addresses.ts";
import type { HttpOptions, Waiting } from "./http.ts";
import type { AskHub } from "./hub/hub-statement.ts";
import { sha256Of } from "./sha256.ts";
import type { ModelStore, StoredFile, StoredSource } from "./store/model-store.ts";

export type OnFetchProgress = (
  stage: "download" | "verify",
  loaded: number,
  /** 0 where the server does not tell. */
  total: number,
  /** What a pause is for, as one begins. */
  waiting?: Waiting,
) => void;

export interface DownloadOptions extends HttpOptions {
  readonly store: ModelStore;
  /** What the caller asked for, to list and remove it by. Default: the URL. */
  readonly model?: string;
  /** Lower-case hex; a download that differs is refused and removed. */
  readonly sha256?: string;
  /** Known size; a file of another size is refused before it is fetched. */
  readonly bytes?: number;
  /** Says what files of the hub must be. Default: the hub's API. */
  readonly hub?: AskHub;
  /** So long the same file may be fetched elsewhere without progress before it is fetched here too. Default 2 min. */
  readonly patienceMs?: number;
  readonly onProgress?: OnFetchProgress;
  readonly signal?: AbortSignal;
}

export interface Download {
  /** The hash the bytes must have, where it is known beforehand. */
  readonly sha256?: string;
  /** False where nothing says what the bytes must be: no hash was given, and the hub could not be asked. */
  readonly checked: boolean;
  /** A read waits until its bytes have arrived. */
  readonly source: ByteSource;
  /** What the user should know of where the bytes are, or are from. */
  readonly notices: readonly string[];
  /**
   * Settles when all bytes are stored and hashed: `network`, `bad_model_file` (hash), `aborted`,
   * `out_of_memory` (storage full). Await it before trusting what `source` gave.
   */
  readonly done: Promise<{ sha256: string }>;
  /** Stops what is still under way, keeping what came, and gives up the file. */
  close(): Promise<void>;
  /**
   * Says how loading ended, after `close` or a whole download: what is no model (`bad_model_file`) does not stay in the
   * store, and what was replaced goes.
   */
  settle(error?: WinnowError): Promise<void>;
}

/** The name a download has in a store: by content where that is known, else by URL. */
export const storeKey = async (url: string, sha256?: string): Promise<string> =>
  sha256 === undefined ? `url-${(await sha256Of(url)).slice(0, 40)}` : `sha256-${sha256}`;

/** A file by URL has two places: a new version of it is whole before the old one goes. */
export const placesOf = (key: string): readonly string[] =>
  key.startsWith("url-") ? [key, `${key}-b`] : [key];

/** A file in the store, and under which of its places. */
export interface Kept {
  readonly key: string;
  readonly record: StoredFile;
}

/** What the store has of a file: the newest that is whole, and one that is not. */
export async function findKept(
  store: ModelStore,
  key: string,
): Promise<{ whole?: Kept; part?: Kept }> {
  const found: Kept[] = [];
  for (const place of placesOf(key)) {
    const record = await store.find(place);
    if (record) found.push({ key: place, record });
  }
  const [whole] = found
    .filter(({ record }) => record.verified && record.sha256 !== undefined)
    .sort((a, b) => (b.record.storedAt ?? 0) - (a.record.storedAt ?? 0));
  const part = found.find(({ record }) => !record.verified);
  return { ...(whole ? { whole } : {}), ...(part ? { part } : {}) };
}

/** True where the bytes under a key are known to be the right ones for good. */
export const isPinned = (key: string, { commit }: StoredFile): boolean =>
  key.startsWith("sha256-") || commit !== undefined;

export const notAsked = (url: string, problem: string): string =>
  `${fileNameOf(url)}: whether it has changed could not be asked (${problem}); the stored copy is used`;

/** A whole file of the store; undefined where it has lost bytes behind our back, and is fetched again. */
export async function serve(
  url: string,
  { key, record }: Kept,
  { store, onProgress }: DownloadOptions,
  notices: readonly string[] = [],
): Promise<Download | undefined> {
  const { sha256, size } = record;
  const source: StoredSource | undefined = await store
    .source(key, fileNameOf(url))
    .catch(() => undefined);
  if (source?.size !== size || sha256 === undefined) {
    await source?.close?.();
    return undefined;
  }
  onProgress?.("download", size, size);
  const pinned = isPinned(key, record);
  return {
    checked: pinned,
    ...(pinned ? { sha256 } : {}),
    source,
    notices,
    done: Promise.resolve({ sha256 }),
    close: async () => source.close?.(),
    settle: (error) => settle(store, key, error),
  };
}

/** @see Download.settle */
export async function settle(
  store: ModelStore,
  key: string,
  error: WinnowError | undefined,
): Promise<void> {
  // Storage that refuses this leaves a copy too many, or no date: nothing that would stop a model from being used.
  const ignored = () => undefined;
  if (error?.code === "bad_model_file") await store.remove(key).catch(ignored);
  if (error !== undefined) return;
  void store.touch(key).catch(ignored);
  for (const other of placesOf(key.replace(/-b$/, ""))) {
    const replaced = other !== key && (await store.find(other))?.verified;
    if (replaced) await store.remove(other).catch(ignored);
  }
}

/** What the bytes at an address must be, and where they are to be had. */
export interface Expected {
  readonly url: string;
  readonly sha256?: string;
  readonly bytes?: number;
  /** The hub's commit for which it stated the rest. */
  readonly commit?: string;
}

/** Most files' hashes are known: what asks the hub is loaded when it is needed. Asks once for each repository. */
export function askHub(options: HttpOptions): AskHub {
  let asking: Promise<AskHub> | undefined;
  return async (file, signal) => {
    asking ??= loadLater("checks against the hub", () => import("./hub/hub-statement.ts")).then(
      ({ hubStatements }) => hubStatements(options),
    );
    return (await asking)(file, signal);
  };
}
