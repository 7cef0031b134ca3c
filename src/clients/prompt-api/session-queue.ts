/** One thing after the other, for one session. */
export class SessionQueue {
  private last: Promise<void> = Promise.resolve();

  /** Runs `job` when those before it are over. Once `signal` fires it rejects with its reason at once, and never begins. */
  run<T>(signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => reject(signal.reason);
      if (signal.aborted) return leave();
      signal.addEventListener("abort", leave, { once: true });
      this.last = this.last.then(async () => {
        if (!signal.aborted) await job().then(resolve, reject);
        signal.removeEventListener("abort", leave);
      });
    });
  }
}

/** A signal that fires with any of those given, until `unlink`. */
export function linkSignals(...signals: readonly (AbortSignal | undefined)[]): {
  signal: AbortSignal;
  abort(reason: unknown): void;
  unlink(): void;
} {
  const controller = new AbortController();
  const given = signals.filter((signal) => signal !== undefined);
  const fire = (event: Event): void => controller.abort((event.target as AbortSignal).reason);
  const fired = given.find(({ aborted }) => aborted);
  if (fired) controller.abort(fired.reason);
  for (const signal of given) signal.addEventListener("abort", fire, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink: () => {
      for (const signal of given) signal.removeEventListener("abort", fire);
    },
  };
}
