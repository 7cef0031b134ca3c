/** Bytes on their way into a store: fetched, hashed, stored and read at the same time. */
import { throwIfAborted, WinnowError } from "../errors.ts";
import { checkRange } from "../formats/blob-source.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { Arrival } from "./arrival.ts";
import type { Download, DownloadOptions, Expected } from "./download.ts";
import {
  DEFAULT_BACKOFF_MS,
  DEFAULT_RETRIES,
  delay,
  fileNameOf,
  networkError,
  withRetries,
} from "./http.ts";
import { type Answer, requestFrom } from "./resume.ts";
import { type Sha256, startSha256 } from "./sha256-stream.ts";
import {
  type ModelStore,
  memoryStore,
  type StoredModel,
  type StoreFile,
} from "./store/model-store.ts";

/** How many bytes come between two writings of the record. */
const SAVE_EVERY = 8 * 1024 * 1024;
const HASH_CHUNK = 4 * 1024 * 1024;

/**
 * Goes on from what `stored` says the store holds under `key`. Resolves as soon as the server has answered.
 * @throws WinnowError `model_not_found`, `network`, `bad_model_file` (wrong size), `aborted`.
 */
export async function startTransfer(
  key: string,
  stored: StoredModel | undefined,
  options: DownloadOptions & Expected,
): Promise<Pick<Download, "source" | "done">> {
  const { file, home } = await openFile(options.store, key);
  return new Transfer(key, home, file, options).start(stored);
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

class Transfer {
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
      // A reader still gets the failure from its read; here it must not become an unhandled rejection.
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

  /** Keeps the bytes that came, unless they are known to be bad; then settles all waiting reads. */
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
