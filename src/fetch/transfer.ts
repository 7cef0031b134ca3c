/** Bytes on their way into a store: fetched, hashed, stored and read at the same time. */
import { defined } from "../defined.ts";
import { throwIfAborted, WinnowError } from "../errors.ts";
import { checkRange } from "../formats/blob-source.ts";
import { fileNameOf } from "./addresses.ts";
import { Arrival } from "./arrival.ts";
import { bodyOf, networkError, Retries, withRetries } from "./http.ts";
import { type Answer, requestFrom } from "./resume.ts";
import { type Sha256, startSha256 } from "./sha256-stream.ts";
import type { ModelStore, StoredFile, StoredSource, StoreFile } from "./store/model-store.ts";
import type { DownloadOptions, Expected } from "./stored-copy.ts";
import { contradiction, hasValidator, sameVersion } from "./validators.ts";

/** How many bytes come, and how many milliseconds pass, between two writings of the record. */
const SAVE_EVERY = 8 * 1024 * 1024;
const SAVE_EVERY_MS = 5_000;
const HASH_CHUNK = 4 * 1024 * 1024;

/** What more bytes than announced mean most often: browsers unpack them, and hide from other origins that they did. */
const COMPRESSED =
  "The server seems to compress the file: turn that off for it, or let other origins read Content-Encoding (Access-Control-Expose-Headers).";

/** Where a transfer's bytes go. */
export interface Place {
  readonly key: string;
  readonly store: ModelStore;
  readonly file: StoreFile;
}

export class Transfer {
  readonly #url: string;
  readonly #place: Place;
  readonly #options: DownloadOptions & Expected;
  /** The bytes at this address are known to be the same ones at any time. */
  readonly #pinned: boolean;
  readonly #arrival = new Arrival();
  #hash!: Sha256;
  #record!: StoredFile;
  /** Bytes of the whole file; undefined while the server does not tell. */
  #size: number | undefined;
  #savedAt = 0;
  #savedWhen = 0;
  /** Serves reads once the file is complete and no longer open for writing. */
  #finished: Promise<StoredSource> | undefined;

  constructor(place: Place, options: DownloadOptions & Expected) {
    this.#url = options.url;
    this.#place = place;
    this.#pinned = options.sha256 !== undefined || options.commit !== undefined;
    this.#options = {
      ...options,
      onWait: (waiting) =>
        options.onProgress?.("download", this.#arrival.received, this.#size ?? 0, waiting),
    };
  }

  /**
   * Goes on from what `stored` says is held. Resolves as soon as the file's size is known: when the server has
   * answered, or with the last byte where it does not tell.
   * @throws WinnowError `model_not_found`, `network`, `bad_model_file` (wrong size), `aborted`.
   */
  async start(
    stored: StoredFile | undefined,
  ): Promise<{ source: StoredSource; done: Promise<{ sha256: string }> }> {
    let done: Promise<{ sha256: string }>;
    try {
      const { bytes, sha256, commit, model, signal } = this.#options;
      const held = this.#resumable(stored);
      const validators = held > 0 && stored?.url === this.#url ? stored : {};
      const answer = await withRetries(this.#options, signal, () => this.#ask(held, validators));
      const size = answer.size ?? bytes;
      const other = bytes !== undefined && size !== bytes;
      if (other || size === 0) {
        await answer.body?.cancel().catch(() => undefined);
        throw this.#bad(
          "size",
          other ? `the server's file has ${size} bytes, the model has ${bytes}` : "it is empty",
        );
      }
      this.#size = size;
      this.#record = {
        url: this.#url,
        ...defined({ model }),
        size: size ?? answer.start,
        ...answer.validators,
        ...defined({ sha256, commit }),
        received: answer.start,
        verified: false,
      };
      this.#place.file.truncate(answer.start);
      done = this.#run(answer);
      // A reader still gets the failure from its read; here it must not become an unhandled rejection.
      done.catch(() => undefined);
    } catch (error) {
      const { key, store, file } = this.#place;
      const empty = file.size === 0;
      file.close();
      if (empty) await store.remove(key).catch(() => undefined);
      throw error;
    }
    if (this.#size === undefined) await done;
    return { source: this.#source(this.#size ?? this.#record.size), done };
  }

  /** Bytes in the store that the rest can be added to. */
  #resumable(stored: StoredFile | undefined): number {
    if (stored === undefined) return 0;
    // Without a validator or a known hash nothing would tell that the file has changed.
    const sameFile = this.#pinned || (stored.url === this.#url && hasValidator(stored));
    const held = Math.min(stored.received, this.#place.file.size);
    return sameFile && held <= stored.size ? held : 0;
  }

  #source(size: number): StoredSource {
    const source: StoredSource = {
      name: fileNameOf(this.#url),
      size,
      read: async (offset, length, signal) => {
        checkRange(source, offset, length);
        await this.#arrival.reached(offset + length, signal);
        const finished = await this.#finished;
        return finished?.read(offset, length, signal) ?? this.#place.file.read(offset, length);
      },
      close: async () => (await this.#finished)?.close?.(),
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
    const retries = new Retries(this.#options, this.#options.signal);
    let next: Answer | undefined = first;
    while (next !== undefined || this.#arrival.received !== this.#size) {
      const before = this.#arrival.received;
      try {
        next ??= await this.#goOn();
        await this.#take(next);
        if (this.#size === undefined) return;
      } catch (error) {
        if (this.#arrival.received > before) retries.reset();
        await retries.pause(error);
      }
      next = undefined;
    }
  }

  /** The hash's state is not kept, so stored bytes go through it again; this also shows they are there. */
  async #hashHeld(held: number): Promise<void> {
    this.#hash = startSha256();
    for (let at = 0; at < held; at += HASH_CHUNK) {
      throwIfAborted(this.#options.signal);
      this.#hash.update(this.#place.file.read(at, Math.min(HASH_CHUNK, held - at)));
      this.#options.onProgress?.("verify", Math.min(at + HASH_CHUNK, held), this.#record.size);
      // Lets messages (an abort among them) in between two chunks.
      await new Promise((resolve) => setTimeout(resolve));
    }
    this.#arrival.advance(held);
    this.#save();
  }

  #ask(start: number, validators: StoredFile | Record<string, never>): Promise<Answer> {
    return requestFrom(this.#url, start, {
      ...this.#options,
      validators,
      pinned: this.#pinned,
    });
  }

  /** Asks for what is missing. Where nothing would tell that the file has changed, all of it comes, to be compared. */
  async #goOn(): Promise<Answer> {
    const known = this.#pinned || hasValidator(this.#record);
    const answer = await this.#ask(known ? this.#arrival.received : 0, this.#record);
    const size = answer.size ?? this.#size;
    const otherSize = this.#size !== undefined && size !== this.#size;
    if (otherSize || sameVersion(answer.validators, this.#record) === false) {
      await answer.body?.cancel().catch(() => undefined);
      throw this.#changed();
    }
    this.#size = size;
    return answer;
  }

  #changed(): WinnowError {
    return this.#bad("etag", "the file on the server changed while it was downloaded");
  }

  /** Stores a body from `answer.start` on; what is held already must be the same in it. */
  async #take({ body, start, end }: Answer): Promise<void> {
    const { signal, onProgress } = this.#options;
    const { file } = this.#place;
    let at = start;
    for await (const piece of bodyOf(this.#url, body, this.#options, signal)) {
      const skipped = Math.min(this.#arrival.received - at, piece.length);
      if (!equal(piece.subarray(0, skipped), file.read(at, skipped))) throw this.#changed();
      at += piece.length;
      if (at > (end ?? Number.POSITIVE_INFINITY))
        throw contradiction(
          this.#url,
          `more than the ${end! - start} bytes that it announced came`,
          COMPRESSED,
        );
      if (at > (this.#size ?? Number.POSITIVE_INFINITY))
        throw this.#bad("size", `the server sent more than ${this.#size} bytes`);
      if (skipped === piece.length) continue;
      const bytes = piece.subarray(skipped);
      file.append(bytes);
      this.#hash.update(bytes);
      this.#arrival.advance(at);
      onProgress?.("download", at, this.#size ?? 0);
      const due = at - this.#savedAt >= SAVE_EVERY || Date.now() - this.#savedWhen >= SAVE_EVERY_MS;
      if (due) this.#save();
    }
    if (at < (end ?? this.#size ?? 0))
      throw networkError(this.#url, `the connection ended at byte ${at} of ${this.#size ?? end}`);
  }

  async #finish(): Promise<{ sha256: string }> {
    const sha256 = this.#hash.digest();
    const expected = this.#options.sha256;
    if (expected !== undefined && sha256 !== expected)
      throw this.#bad("sha256", `the file's SHA-256 is ${sha256}, not ${expected}`);
    const { key, store, file } = this.#place;
    const { received } = this.#arrival;
    if (received === 0) throw this.#bad("size", "it is empty");
    this.#record = { ...this.#record, size: received, received, sha256, verified: true };
    file.save({ ...this.#record, storedAt: Date.now() });
    // In one breath, so that no read falls between the two.
    file.close();
    this.#finished = store.source(key, fileNameOf(this.#url)).catch((cause: unknown) => {
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
    const received = this.#arrival.received;
    this.#savedAt = received;
    this.#savedWhen = Date.now();
    this.#place.file.save({ ...this.#record, size: this.#size ?? received, received });
  }

  /** Keeps the bytes that came, unless they are known to be bad; then settles all waiting reads. */
  async #fail(error: unknown): Promise<void> {
    const bad = error instanceof WinnowError && error.code === "bad_model_file";
    try {
      if (!bad) this.#save();
    } catch {
      // The first error is the one to report.
    }
    this.#place.file.close();
    if (bad) await this.#place.store.remove(this.#place.key).catch(() => undefined);
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

const equal = (a: Uint8Array, b: Uint8Array): boolean => a.every((byte, i) => byte === b[i]);
