import { throwIfAborted } from "../../errors.ts";

/** Runs jobs of one key one after another, jobs of different keys side by side. */
export class RequestQueue {
  private readonly tails = new Map<string, Promise<unknown>>();

  /** Rejects with `aborted` as soon as `signal` fires on a job that still waits. */
  run<T>(key: string, job: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.tails.get(key) ?? Promise.resolve();
    let started = false;
    const result = before.then(() => {
      started = true;
      throwIfAborted(signal);
      return job();
    });
    const tail = result.catch(() => {});
    this.tails.set(key, tail);
    void tail.then(() => {
      if (this.tails.get(key) === tail) this.tails.delete(key);
    });
    if (!signal) return result;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        if (!started) reject(signal.reason);
      };
      signal.addEventListener("abort", leave, { once: true });
      result.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
    });
  }

  /** When everything queued so far has ended. */
  async idle(): Promise<void> {
    await Promise.all(this.tails.values());
  }
}
