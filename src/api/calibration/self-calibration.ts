import { asWinnowError, throwIfAborted, WinnowError } from "../../errors.ts";
import type { CalibrateProgress, CalibrationResult, SelfCalibration } from "../types.ts";

/** Quiet time before a calibration begins or goes on: most answers are followed by another question. */
const IDLE_MS = 2000;
/** A calibration that will take longer is not begun unasked. */
export const LONGEST_SECONDS = 180;
/** Written tokens that are left out of the estimate, while kernels compile, and those it is made from. */
const WARM_UP = 8;
const TIMED = 24;
/** Reading the text and working the filters out are taken to last as long as writing it. */
const WRITINGS = 2;
const ATTEMPTS = 2;

/** The hooks that a run is given. */
export interface RunHooks {
  /** To be awaited between steps, as short as they can be: returns once no request runs. Throws aborted. */
  pause(): Promise<void>;
  onProgress(progress: CalibrateProgress): void;
  readonly signal: AbortSignal;
}

export interface SelfCalibrationParts {
  /** Whether the policies in use lack a calibration. */
  wanted(): boolean;
  run(hooks: RunHooks): Promise<CalibrationResult>;
  report(event: SelfCalibration): void;
  /** The user does not want it for this model. */
  refuse(): Promise<void>;
}

/**
 * When a model calibrates itself: once, while no request runs. A request finds it out of the way within one step;
 * it goes on where it was when the engine has been quiet for a while. States: waiting -> running <-> waiting ->
 * done, or asking (it would take too long), stopped (by the user), failed; after those it never begins again.
 */
export class SelfCalibrator {
  private readonly parts: SelfCalibrationParts;
  private readonly idleMs: number;
  /** Requests that run. */
  private busy = 0;
  /** No request runs, and none has for a while. */
  private quiet = false;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly waiting = new Set<() => void>();
  private control: AbortController | undefined;
  private running: Promise<void> | undefined;
  private attempts = 0;
  /** It does not begin any more. */
  private over = false;
  private learned = false;

  constructor(parts: SelfCalibrationParts, idleMs = IDLE_MS) {
    this.parts = parts;
    this.idleMs = idleMs;
  }

  /** A request begins; to be called back when it has ended. */
  begin(): () => void {
    this.busy += 1;
    clearTimeout(this.timer);
    if (this.quiet && this.running) this.parts.report({ state: "waiting" });
    this.quiet = false;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.busy -= 1;
      this.consider();
    };
  }

  /** Whether it is wanted may have changed. */
  consider(): void {
    if (this.over || this.busy > 0 || this.quiet) return;
    if (!this.running && !this.parts.wanted()) return;
    if (!this.running) this.parts.report({ state: "waiting" });
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.onQuiet(), this.idleMs);
  }

  /** The user does not want it: not now, and not at the next load of this model. */
  async stop(): Promise<void> {
    if (this.learned) return;
    await this.end();
    this.parts.report({ state: "stopped" });
    await this.parts.refuse();
  }

  /** Ends it silently: the caller calibrates, or closes the engine. */
  async end(): Promise<void> {
    this.over = true;
    clearTimeout(this.timer);
    this.control?.abort(new WinnowError("aborted", "the calibration was stopped"));
    await this.running;
  }

  private onQuiet(): void {
    this.quiet = true;
    if (this.running) {
      for (const go of this.waiting) go();
      this.waiting.clear();
      return;
    }
    if (!this.parts.wanted()) {
      this.quiet = false;
      return;
    }
    this.control = new AbortController();
    this.running = this.attempt(this.control).finally(() => {
      this.running = undefined;
      this.quiet = false;
      // One more time after a failure.
      this.consider();
    });
  }

  private async attempt(control: AbortController): Promise<void> {
    this.attempts += 1;
    let tooLong: number | undefined;
    const estimate = new Estimate();
    const { signal } = control;
    try {
      const result = await this.parts.run({
        signal,
        pause: async () => {
          if (await this.untilQuiet(signal)) estimate.restart();
        },
        onProgress: (progress) => {
          this.parts.report({ state: "running", progress });
          const seconds = progress.stage === "writing" ? estimate.after(progress) : 0;
          if (seconds <= LONGEST_SECONDS || tooLong !== undefined) return;
          tooLong = seconds;
          control.abort(new WinnowError("aborted", "the calibration would take too long"));
        },
      });
      this.over = true;
      this.learned = true;
      this.parts.report({ state: "done", result });
    } catch (thrown) {
      const error = asWinnowError(thrown);
      if (tooLong !== undefined) {
        this.over = true;
        this.parts.report({ state: "asking", seconds: Math.round(tooLong) });
      } else if (!signal.aborted && this.attempts >= ATTEMPTS) {
        this.over = true;
        this.parts.report({ state: "failed", message: error.message });
      }
    }
  }

  /** True where it had to wait. Lets messages in between, requests among them. */
  private async untilQuiet(signal: AbortSignal): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve));
    throwIfAborted(signal);
    let waited = false;
    while (!this.quiet) {
      waited = true;
      await new Promise<void>((resolve) => {
        this.waiting.add(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      throwIfAborted(signal);
    }
    return waited;
  }
}

/** How long all of it takes, from the speed of the first tokens that the model writes. */
class Estimate {
  /** Tokens since the clock was looked at, the first ones aside. */
  private tokens = -WARM_UP;
  private from = 0;

  /** The clock must not count time that was waited. */
  restart(): void {
    if (this.tokens > 0) this.tokens = 0;
  }

  /** One token more was written, of `total`. Seconds; 0 until known, and said once. */
  after({ total }: CalibrateProgress): number {
    const now = performance.now();
    if (this.tokens <= 0) this.from = now;
    this.tokens += 1;
    if (this.tokens !== TIMED + 1) return 0;
    return ((now - this.from) / 1000 / TIMED) * total * WRITINGS;
  }
}
