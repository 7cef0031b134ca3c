/** Signals by which users end a program. */
export const ASKED: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Ctrl-C reaches the process that was started and the one for Dawn, and the first passes it on: that is one. */
const SAME_MS = 1000;

/** How a command that goes on until it is stopped hears of it. */
export interface StopSignals {
  /** Fires when the user wants it to end. */
  readonly end: AbortSignal;
  /** Fires when he says so once more. */
  readonly endNow: AbortSignal;
  /** Signals do again what they do by themselves. */
  forget(): void;
}

export function stopSignals(): StopSignals {
  const [end, endNow] = [new AbortController(), new AbortController()];
  let since = 0;
  const hear = (): void => {
    if (!end.signal.aborted) {
      since = performance.now();
      end.abort();
    } else if (performance.now() - since > SAME_MS) endNow.abort();
  };
  for (const name of ASKED) process.on(name, hear);
  return {
    end: end.signal,
    endNow: endNow.signal,
    forget: () => {
      for (const name of ASKED) process.off(name, hear);
    },
  };
}
