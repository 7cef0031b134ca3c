/** A file that is not in the store, or of which the store does not know for good that it is the right one. */
import { defined } from "../defined.ts";
import { asWinnowError, throwIfAborted } from "../errors.ts";
import { fileNameOf, hubFileOf, hubUrl } from "./addresses.ts";
import { delay } from "./delay.ts";
import { giveUp, isWebPage, request } from "./http.ts";
import type { ModelStore, Release, StoredFile } from "./store/model-store.ts";
import { memoryStore } from "./store/open-memory.ts";
import {
  askHub,
  type Download,
  type DownloadOptions,
  type Expected,
  findKept,
  type Kept,
  notAsked,
  placesOf,
  serve,
  settle,
} from "./stored-copy.ts";
import { type Place, Transfer } from "./transfer.ts";
import { plainLength, rangeOf, sameVersion, validatorsOf } from "./validators.ts";

const POLL_MS = 500;
const PATIENCE_MS = 120_000;
/** A slow answer must not hold up a model that is here already. */
const ASK_WITHIN_MS = 10_000;

/** @throws as `download`. */
export async function fetchFile(
  url: string,
  key: string,
  given: DownloadOptions,
): Promise<Download> {
  const options = { ...given, hub: given.hub ?? askHub(given) };
  const { store } = options;
  const { whole: before, part } = await findKept(store, key);
  if (before) {
    const expected = await expectedOf(url, part?.record ?? before.record, options);
    const verdict = await judge(url, before.record, expected, options);
    const served = verdict.changed ? undefined : await serve(url, before, options, verdict.notices);
    if (served) return { ...served, ...saidOf(expected) };
  }
  const turn = await onlyOne(key, options);
  try {
    const { whole, part } = await findKept(store, key);
    // Meanwhile somebody else may have fetched it.
    if (whole && whole.record.storedAt !== before?.record.storedAt) {
      const served = await serve(url, whole, options, turn.notices);
      if (served) {
        turn.release();
        return served;
      }
    }
    return await transfer(url, key, options, { whole, part, turn });
  } catch (error) {
    turn.release();
    throw error;
  }
}

/** The right to write a file of the store; `store` is memory where somebody else does not give it up. */
interface Turn {
  readonly store: ModelStore;
  readonly release: Release;
  readonly notices: readonly string[];
}

interface Holding {
  readonly whole: Kept | undefined;
  readonly part: Kept | undefined;
  readonly turn: Turn;
}

const saidOf = ({ sha256, commit }: Expected) => ({
  checked: sha256 !== undefined || commit !== undefined,
  ...defined({ sha256 }),
});

async function transfer(
  url: string,
  key: string,
  options: DownloadOptions,
  { whole, part, turn }: Holding,
): Promise<Download> {
  const expected = await expectedOf(url, part?.record ?? whole?.record, options);
  const place = part?.key ?? placesOf(key).find((one) => one !== whole?.key) ?? key;
  const abortion = new AbortController();
  const { signal } = options;
  const opened = await openPlace(turn.store, place, url);
  // What goes to memory is of no use to those who wait.
  if (opened.store !== options.store) turn.release();
  const moving = new Transfer(opened, {
    ...options,
    ...expected,
    signal: signal ? AbortSignal.any([signal, abortion.signal]) : abortion.signal,
  });
  const notices = [...turn.notices, ...opened.notices];
  try {
    const { source, done } = await moving.start(part?.record);
    const ended = done.then(turn.release, turn.release);
    return {
      ...saidOf(expected),
      source,
      notices,
      done,
      async close() {
        abortion.abort();
        await ended;
        await source.close?.();
      },
      settle: (error) => settle(opened.store, place, error),
    };
  } catch (thrown) {
    const { code, message } = asWinnowError(thrown);
    if (code === "model_not_found" && part?.record.commit !== undefined) {
      // The commit that its beginning came from is no longer there.
      await turn.store.remove(place);
      return transfer(url, key, options, { whole, part: undefined, turn });
    }
    // A newer version that cannot be had is no reason to be without the old one.
    const usable = whole && (code === "model_not_found" || code === "network") ? whole : undefined;
    const served =
      usable && (await serve(url, usable, options, [...notices, notAsked(url, message)]));
    if (!served) throw thrown;
    turn.release();
    return served;
  }
}

/** Whether a whole file is still what its address has, as far as anybody says. */
async function judge(
  url: string,
  record: StoredFile,
  { sha256, commit }: Expected,
  options: DownloadOptions,
): Promise<{ changed: boolean; notices: readonly string[] }> {
  if (sha256 !== undefined) return { changed: sha256 !== record.sha256, notices: [] };
  if (commit !== undefined) return { changed: false, notices: [] };
  return askAfter(url, record, options);
}

async function expectedOf(
  url: string,
  stored: StoredFile | undefined,
  options: DownloadOptions,
): Promise<Expected> {
  const { sha256, bytes, signal, hub = askHub(options) } = options;
  const given = {
    url,
    ...defined({ sha256, bytes }),
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

/** Asks by a range of one byte, which costs a page no CORS preflight, whether a stored file is still the server's. */
async function askAfter(
  url: string,
  record: StoredFile,
  options: DownloadOptions,
): Promise<{ changed: boolean; notices: string[] }> {
  const { signal, silenceMs = ASK_WITHIN_MS } = options;
  const patience = { ...options, silenceMs: Math.min(silenceMs, ASK_WITHIN_MS) };
  try {
    const ask = { ...patience, cache: "no-store" } as const;
    const response = await request(url, { Range: "bytes=0-0" }, ask, signal);
    giveUp(response);
    if (isWebPage(response)) throw new Error("a web page is there");
    const length = response.status === 200 && response.type !== "cors" && plainLength(response);
    const size = rangeOf(url, response)?.total ?? (length === false ? undefined : length);
    const same = sameVersion(record, validatorsOf(response));
    if (same === false || (size !== undefined && size !== record.size))
      return { changed: true, notices: [] };
    if (same) return { changed: false, notices: [] };
    throw new Error("the server says nothing of its version");
  } catch (thrown) {
    throwIfAborted(signal);
    return { changed: false, notices: [notAsked(url, (thrown as Error).message)] };
  }
}

/** Waits for whoever fetches the same file, but not for long where they do not move on. */
async function onlyOne(
  key: string,
  { store, signal, onProgress, patienceMs = PATIENCE_MS }: DownloadOptions,
): Promise<Turn> {
  const tired = new AbortController();
  const locking = store.lock(key, signal ? AbortSignal.any([signal, tired.signal]) : tired.signal);
  let moved = { received: 0, at: Date.now() };
  for (let pause = 50; Date.now() - moved.at < patienceMs; pause = POLL_MS) {
    const release = await Promise.race([
      locking.catch((error: unknown) => {
        throwIfAborted(signal);
        throw error;
      }),
      delay(pause).then(() => undefined),
    ]);
    if (release) return { store, release, notices: [] };
    const record = (await findKept(store, key)).part?.record;
    const received = record?.received ?? 0;
    if (received !== moved.received) moved = { received, at: Date.now() };
    onProgress?.("download", received, record?.size ?? 0, { for: "other" });
  }
  tired.abort();
  locking.then(
    (release) => release(),
    () => undefined,
  );
  const notice =
    "another tab or process has begun to fetch the model and does not go on: here it is kept in memory alone";
  return { store: await memoryStore(), release: () => undefined, notices: [notice] };
}

/** Storage that cannot be written is replaced by memory. */
async function openPlace(
  store: ModelStore,
  key: string,
  url: string,
): Promise<Place & { notices: readonly string[] }> {
  try {
    return { key, store, file: await store.open(key), notices: [] };
  } catch (cause) {
    const home = await memoryStore();
    const problem = (cause as Error).message;
    const notice = `${fileNameOf(url)}: the storage cannot be written (${problem}), so it is kept in memory alone and fetched again the next time`;
    return { key, store: home, file: await home.open(key), notices: [notice] };
  }
}
