/**
 * A URL into a store, resumable and hashed, readable from the first byte on:
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
import { Arrival } from "./arrival.ts";
import { checkRange } from "./blob-source.ts";
import type { ByteSource } from "./byte-source.ts";
import {
  DEFAULT_BACKOFF_MS,
  DEFAULT_RETRIES,
  delay,
  fileNameOf,
  type HttpOptions,
  hubFileOf,
  hubUrl,
  networkError,
  withRetries,
} from "./http.ts";
import { type Answer, requestFrom } from "./http-resume.ts";
import type { AskHub } from "./hub-statement.ts";
import { type ModelStore, memoryStore, type StoredModel, type StoreFile } from "./model-store.ts";
import { type Sha256, sha256OfText, startSha256 } from "./sha256.ts";

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

/** How many bytes come between two writings of the record. */
const SAVE_EVERY = 8 * 1024 * 1024;
const HASH_CHUNK = 4 * 1024 * 1024;

/** The name a download has in a store: by content where that is known, else by URL. */
export const storeKey = (url: string, sha256?: string): string =>
  sha256 === undefined ? `url-${sha256OfText(url).slice(0, 40)}` : `sha256-${sha256}`;

/**
 * Resolves as soon as the server has answered, so the size is known.
 * @throws WinnowError `model_not_found`, `network`, `bad_model_file` (wrong size), `aborted`.
 */
export async function download(url: string, options: DownloadOptions): Promise<Download> {
  throwIfAborted(options.signal);
  const { store } = options;
  const key = storeKey(url, options.sha256);
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
  const { file, home } = await openFile(store, key);
  const run = new DownloadRun(key, home, file, { ...options, ...expected });
  try {
    // Another file that is complete is no beginning of this one.
    return { ...said, ...(await run.start(complete && !same ? undefined : stored)) };
  } catch (error) {
    const gone = error instanceof WinnowError && error.code === "model_not_found";
    if (!gone || stored?.commit === undefined) throw error;
    // The commit that its beginning came from is no longer there.
    await store.remove(key);
    return download(url, options);
  }
}

/** What the bytes at an address must be, and where they are to be had. */
interface Expected {
  readonly url: string;
  readonly sha256?: string;
  readonly bytes?: number;
  /** Of the hub, which stated the rest. */
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

/** Storage that cannot be written (no worker, locked by another tab) is replaced by memory. */
async function openFile(
  store: ModelStore,
  key: string,
): Promise<{ file: StoreFile; home: ModelStore }> {
  try {
    return { file: await store.open(key), home: store };
  } catch {
    const home = await memoryStore();
    return { file: await home.open(key), home };
  }
}

class DownloadRun {
  readonly #url: string;
  readonly #key: string;
  readonly #store: ModelStore;
  readonly #file: StoreFile;
  readonly #options: DownloadOptions & Expected;
  readonly #arrival = new Arrival();
  #hash!: Sha256;
  #record!: StoredModel;
  #savedAt = 0;
  /** Serves reads once the file is complete and no longer open for writing. */
  #finished: Promise<ByteSource> | undefined;

  constructor(
    key: string,
    store: ModelStore,
    file: StoreFile,
    options: DownloadOptions & Expected,
  ) {
    this.#url = options.url;
    this.#key = key;
    this.#store = store;
    this.#file = file;
    this.#options = options;
  }

  async start(stored: StoredModel | undefined): Promise<Pick<Download, "source" | "done">> {
    try {
      const { bytes } = this.#options;
      const held = this.#resumable(stored);
      const etag = held > 0 && stored?.url === this.#url ? stored.etag : undefined;
      const answer = await withRetries(this.#options, this.#options.signal, () =>
        requestFrom(this.#url, held, { ...this.#options, etag }),
      );
      const size = answer.size ?? bytes;
      if (size === undefined || (bytes !== undefined && size !== bytes)) {
        await answer.body?.cancel().catch(() => undefined);
        throw size === undefined
          ? networkError(this.#url, "the server does not tell the file's size")
          : this.#bad("size", `the server's file has ${size} bytes, the model has ${bytes}`);
      }
      const { sha256, commit } = this.#options;
      this.#record = {
        url: this.#url,
        size,
        ...(answer.etag === undefined ? {} : { etag: answer.etag }),
        ...(sha256 === undefined ? {} : { sha256 }),
        ...(commit === undefined ? {} : { commit }),
        received: answer.start,
        verified: false,
      };
      this.#file.truncate(answer.start);
      const done = this.#run(answer);
      // Whoever only reads still gets the failure; nobody must get an unhandled rejection.
      done.catch(() => undefined);
      return { source: this.#source(size), done };
    } catch (error) {
      this.#file.close();
      throw error;
    }
  }

  /** Bytes in the store that the rest can be added to. */
  #resumable(stored: StoredModel | undefined): number {
    if (stored === undefined) return 0;
    // Without a validator or a known hash nothing would tell that the file has changed.
    const sameFile =
      this.#options.sha256 !== undefined || (stored.url === this.#url && stored.etag !== undefined);
    const held = Math.min(stored.received, this.#file.size);
    return sameFile && held <= stored.size ? held : 0;
  }

  #source(size: number): ByteSource {
    const source: ByteSource = {
      name: fileNameOf(this.#url),
      size,
      read: async (offset, length, signal) => {
        checkRange(source, offset, length);
        await this.#arrival.reached(offset + length, signal);
        const finished = await this.#finished;
        return finished?.read(offset, length, signal) ?? this.#file.read(offset, length);
      },
    };
    return source;
  }

  async #run(first: Answer): Promise<{ sha256: string }> {
    try {
      await this.#hashHeld(first.start);
      await this.#takeAll(first);
      return await this.#finish();
    } catch (error) {
      await this.#fail(error);
      throw error;
    }
  }

  /** Takes the connection up again where it broke; attempts are counted from the last progress. */
  async #takeAll(first: Answer): Promise<void> {
    const { retries = DEFAULT_RETRIES, backoffMs = DEFAULT_BACKOFF_MS, signal } = this.#options;
    let answer = first;
    for (let failures = 0; ; failures++) {
      const before = this.#arrival.received;
      try {
        await this.#take(answer);
        return;
      } catch (error) {
        if (!(error instanceof WinnowError && error.code === "network")) throw error;
        if (this.#arrival.received > before) failures = 0;
        if (failures >= retries) throw error;
        await delay(backoffMs * 2 ** failures, signal);
      }
      answer = await withRetries(this.#options, signal, () => this.#ask());
    }
  }

  /** The hash's state is not kept, so stored bytes go through it again; this also shows they are there. */
  async #hashHeld(held: number): Promise<void> {
    this.#hash = startSha256();
    for (let at = 0; at < held; at += HASH_CHUNK) {
      throwIfAborted(this.#options.signal);
      this.#hash.update(this.#file.read(at, Math.min(HASH_CHUNK, held - at)));
      this.#options.onProgress?.("verify", Math.min(at + HASH_CHUNK, held), this.#record.size);
      // Lets messages (an abort among them) in between two chunks.
      await new Promise((resolve) => setTimeout(resolve));
    }
    this.#arrival.advance(held);
    this.#savedAt = held;
  }

  async #ask(): Promise<Answer> {
    const { received } = this.#arrival;
    const { etag, size } = this.#record;
    const answer = await requestFrom(this.#url, received, { ...this.#options, etag });
    const otherTag = etag !== undefined && answer.etag !== undefined && answer.etag !== etag;
    const changed = otherTag || (answer.size ?? size) !== size;
    if (!changed) return answer;
    await answer.body?.cancel().catch(() => undefined);
    throw this.#bad("etag", "the file on the server changed while it was downloaded");
  }

  /** Stores a body from `answer.start` on, passing over bytes that are held already. */
  async #take(answer: Answer): Promise<void> {
    const { signal, onProgress } = this.#options;
    const { size } = this.#record;
    let skip = this.#arrival.received - answer.start;
    const reader = answer.body?.getReader();
    try {
      while (reader !== undefined) {
        throwIfAborted(signal);
        const { value, done } = await reader.read().catch((cause: unknown) => {
          throwIfAborted(signal);
          throw networkError(this.#url, "the connection broke", cause);
        });
        if (done) break;
        const bytes = skip > 0 ? value.subarray(Math.min(skip, value.length)) : value;
        skip -= value.length - bytes.length;
        const received = this.#arrival.received + bytes.length;
        if (received > size) throw this.#bad("size", `the server sent more than ${size} bytes`);
        this.#file.append(bytes);
        this.#hash.update(bytes);
        this.#arrival.advance(received);
        onProgress?.("download", received, size);
        if (received - this.#savedAt >= SAVE_EVERY) this.#save();
      }
    } catch (error) {
      await reader?.cancel().catch(() => undefined);
      throw error;
    }
    if (this.#arrival.received < size)
      throw networkError(
        this.#url,
        `the connection ended at byte ${this.#arrival.received} of ${size}`,
      );
  }

  async #finish(): Promise<{ sha256: string }> {
    const sha256 = this.#hash.digest();
    const expected = this.#options.sha256;
    if (expected !== undefined && sha256 !== expected)
      throw this.#bad("sha256", `the file's SHA-256 is ${sha256}, not ${expected}`);
    this.#file.save({ ...this.#record, received: this.#record.size, sha256, verified: true });
    // In one breath, so that no read falls between the two.
    this.#file.close();
    this.#finished = this.#store
      .source(this.#key, fileNameOf(this.#url))
      .catch((cause: unknown) => {
        const problem = "the browser's storage has lost the file that was just written";
        throw this.#bad("storage", problem, {
          hint: "Load the model again: it is fetched anew.",
          cause,
        });
      });
    await this.#finished;
    return { sha256 };
  }

  #save(): void {
    this.#savedAt = this.#arrival.received;
    this.#file.save({ ...this.#record, received: this.#savedAt });
  }

  /** Keeps what came, unless it is known to be bad; then tells whoever waits. */
  async #fail(error: unknown): Promise<void> {
    const bad = error instanceof WinnowError && error.code === "bad_model_file";
    try {
      if (!bad) this.#save();
    } catch {
      // The first error is the one to report.
    }
    this.#file.close();
    if (bad) await this.#store.remove(this.#key).catch(() => undefined);
    this.#arrival.fail(error);
  }

  #bad(field: string, problem: string, more: { hint?: string; cause?: unknown } = {}): WinnowError {
    return new WinnowError("bad_model_file", `${this.#url}: ${problem}`, {
      hint: "Load the model again; if it fails again, the server has another file under this address.",
      details: { field, offset: 0, url: this.#url },
      ...more,
    });
  }
}
