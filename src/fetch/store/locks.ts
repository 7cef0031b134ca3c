import type { Release } from "./model-store.ts";

/** Locks among all who share this object: engines in one thread. */
export class LocalLocks {
  readonly #held = new Map<string, Promise<void>>();

  async lock(key: string, signal: AbortSignal): Promise<Release> {
    for (;;) {
      signal.throwIfAborted();
      const release = this.tryLock(key);
      if (release) return release;
      await untilAborted(this.#held.get(key)!, signal);
    }
  }

  tryLock(key: string): Release | undefined {
    if (this.#held.has(key)) return undefined;
    let free = (): void => {};
    this.#held.set(
      key,
      new Promise((resolve) => {
        free = resolve;
      }),
    );
    return () => {
      this.#held.delete(key);
      free();
    };
  }
}

const untilAborted = (work: Promise<void>, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener("abort", stop, { once: true });
    void work.then(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    });
  });

const NAMES = "winnow ";
const NOT_HELD: Release = () => {};

/** Locks among all tabs and workers of an origin. The browser frees those of a tab that is gone. */
export const webLocks = {
  lock: (key: string, signal: AbortSignal): Promise<Release> =>
    request(key, { signal }).then((release) => release ?? NOT_HELD),
  tryLock: (key: string): Promise<Release | undefined> => request(key, { ifAvailable: true }),
};

const inThisThread = new LocalLocks();

/** Where there are no such locks, engines of one thread wait for each other; a page may be refused them altogether. */
async function request(key: string, options: LockOptions): Promise<Release | undefined> {
  const { locks } = globalThis.navigator ?? {};
  const { signal } = options;
  if (!locks) return signal ? inThisThread.lock(key, signal) : inThisThread.tryLock(key);
  return new Promise((resolve, reject) => {
    locks
      .request(NAMES + key, options, (lock) => {
        if (lock === null) return resolve(undefined);
        return new Promise<void>((release) => resolve(release));
      })
      .catch((error: unknown) => {
        if (error instanceof DOMException && error.name === "SecurityError") resolve(NOT_HELD);
        else reject(error);
      });
  });
}
