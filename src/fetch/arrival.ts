import { throwIfAborted, WinnowError } from "../errors.ts";

/**
 * How many bytes of a download have arrived, and who waits for more: `reached(end)` resolves once
 * they cover [0, end), and rejects when the download fails first.
 */
export class Arrival {
  received = 0;
  #failure: unknown;
  #waiting: { end: number; resolve: () => void; reject: (error: unknown) => void }[] = [];

  advance(received: number): void {
    this.received = received;
    const met = this.#waiting.filter(({ end }) => end <= received);
    if (met.length === 0) return;
    this.#waiting = this.#waiting.filter(({ end }) => end > received);
    for (const { resolve } of met) resolve();
  }

  fail(error: unknown): void {
    this.#failure = error;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(error);
  }

  async reached(end: number, signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.#failure !== undefined) throw this.#failure;
    if (end <= this.received) return;
    await new Promise<void>((resolve, reject) => {
      const waiter = { end, resolve, reject };
      this.#waiting.push(waiter);
      const stop = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter);
        reject(new WinnowError("aborted", "the operation was aborted", { cause: signal?.reason }));
      };
      signal?.addEventListener("abort", stop, { once: true });
      waiter.resolve = () => {
        signal?.removeEventListener("abort", stop);
        resolve();
      };
    });
  }
}
