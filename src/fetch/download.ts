/**
 * A URL into a store, resumable and hashed, readable from the first byte on. What fetches (transfer.ts) is loaded when
 * something must be fetched:
 *
 *   stored and verified -> served from the store, no request
 *   stored in part      -> its bytes are hashed again, the rest is fetched by range
 *   otherwise           -> fetched from the start
 *
 * A file of the hub whose hash the caller does not know is held to what the hub itself states of it, and all of
 * it comes from one commit, whatever becomes of the branch meanwhile. A broken connection is taken up again a few
 * times; then, and on abort, the bytes so far stay in the store. A hash that is not the expected one removes them.
 */
import { loadLater, throwIfAborted, WinnowError } from "../errors.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { fileNameOf, type HttpOptions, hubFileOf, hubUrl } from "./http.ts";
import type { AskHub } from "./hub-statement.ts";
import { sha256Of } from "./sha256.ts";
import type { ModelStore, StoredModel } from "./store/model-store.ts";

export interface DownloadOptions extends HttpOptions {
  readonly store: ModelStore;
  /** Lower-case hex; a download that differs is refused and removed. */
  readonly sha256?: string;
  /** Known size; a file of another size is refused before it is fetched. */
  readonly bytes?: number;
  /** Says what files of the hub must be. Default: the hub's API. */
  readonly hub?: AskHub;
  readonly onProgress?: (stage: "download" | "verify", loaded: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export interface Download {
  /** The hash the bytes must have, where it is known beforehand. */
  readonly sha256?: string;
  /** False where nothing says what the bytes must be: no hash was given, and the hub could not be asked. */
  readonly checked: boolean;
  /** A read waits until its bytes have arrived. */
  readonly source: ByteSource;
  /**
   * Settles when all bytes are stored and hashed: `network`, `bad_model_file` (hash), `aborted`,
   * `out_of_memory` (storage full). Await it before trusting what `source` gave.
   */
  readonly done: Promise<{ sha256: string }>;
}

/** The name a download has in a store: by content where that is known, else by URL. */
export const storeKey = async (url: string, sha256?: string): Promise<string> =>
  sha256 === undefined ? `url-${(await sha256Of(url)).slice(0, 40)}` : `sha256-${sha256}`;

/**
 * Resolves as soon as the server has answered, so the size is known.
 * @throws WinnowError `model_not_found`, `network`, `bad_model_file` (wrong size), `aborted`.
 */
export async function download(url: string, options: DownloadOptions): Promise<Download> {
  throwIfAborted(options.signal);
  const { store } = options;
  const key = await storeKey(url, options.sha256);
  const stored = await store.find(key);
  const expected = await expectedOf(url, stored, options);
  const { sha256 } = expected;
  const checked = sha256 !== undefined || expected.commit !== undefined;
  const said = { checked, ...(sha256 === undefined ? {} : { sha256 }) };
  const complete = stored?.verified === true && stored.sha256 !== undefined;
  const same = complete && (sha256 ?? stored.sha256) === stored.sha256;
  if (complete && same) {
    const source = await store.source(key, fileNameOf(url)).catch(() => undefined);
    // A file that lost bytes behind our back is fetched again.
    if (source?.size === stored.size) {
      options.onProgress?.("download", stored.size, stored.size);
      return { ...said, source, done: Promise.resolve({ sha256: stored.sha256! }) };
    }
  }
  const { startTransfer } = await loadLater("downloads", () => import("./transfer.ts"));
  // Another file that is complete is no beginning of this one.
  const held = complete && !same ? undefined : stored;
  try {
    return { ...said, ...(await startTransfer(key, held, { ...options, ...expected })) };
  } catch (error) {
    const gone = error instanceof WinnowError && error.code === "model_not_found";
    if (!gone || stored?.commit === undefined) throw error;
    // The commit that its beginning came from is no longer there.
    await store.remove(key);
    return download(url, options);
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
    asking ??= loadLater("checks against the hub", () => import("./hub-statement.ts")).then(
      ({ hubStatements }) => hubStatements(options),
    );
    return (await asking)(file, signal);
  };
}

async function expectedOf(
  url: string,
  stored: StoredModel | undefined,
  options: DownloadOptions,
): Promise<Expected> {
  const { sha256, bytes, signal, hub = askHub(options) } = options;
  const given = {
    url,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(bytes === undefined ? {} : { bytes }),
  };
  const file = sha256 === undefined ? hubFileOf(url) : undefined;
  if (file === undefined) return given;
  const { commit } = stored ?? {};
  if (stored && commit !== undefined) {
    const { size, sha256 } = stored;
    return {
      url: hubUrl({ ...file, revision: commit }),
      bytes: size,
      commit,
      ...(sha256 && { sha256 }),
    };
  }
  const stated = await hub(file, signal);
  throwIfAborted(signal);
  return stated ? { ...stated, url: hubUrl({ ...file, revision: stated.commit }) } : given;
}
