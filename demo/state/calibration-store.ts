import type { CalibrateProgress, CalibrationResult, Engine } from "../../src/api/types.ts";
import { asWinnowError, type WinnowError } from "../../src/errors.ts";
import { Rate } from "./rate.ts";
import { Store } from "./store.ts";

export type CalibrationPhase =
  | { kind: "idle" }
  | { kind: "running"; progress: CalibrateProgress | null; secondsLeft: number | null }
  | { kind: "failed"; error: WinnowError }
  | { kind: "done"; result: CalibrationResult };

/** One calibration at a time of the engine at hand. */
export class CalibrationStore extends Store {
  phase: CalibrationPhase = { kind: "idle" };
  #engine: Engine | null = null;
  #abort: AbortController | null = null;

  attach(engine: Engine | null): void {
    this.cancel();
    this.#engine = engine;
    this.#enter({ kind: "idle" });
  }

  /** On texts, or on what the model writes itself. Never throws: a failure becomes the phase. */
  async start(texts: readonly string[] | undefined): Promise<void> {
    const engine = this.#engine;
    if (engine === null || this.phase.kind === "running") return;
    const abort = new AbortController();
    this.#abort = abort;
    const rate = new Rate();
    let stage = "";
    this.#enter({ kind: "running", progress: null, secondsLeft: null });
    try {
      const result = await engine.calibrate({
        ...(texts ? { texts } : {}),
        signal: abort.signal,
        onProgress: (progress) => {
          if (this.#abort !== abort) return;
          if (progress.stage !== stage) rate.clear();
          stage = progress.stage;
          rate.add(progress.loaded, performance.now());
          const secondsLeft = rate.secondsLeft(progress.total);
          this.#enter({ kind: "running", progress, secondsLeft });
        },
      });
      if (this.#abort === abort) this.#enter({ kind: "done", result });
    } catch (thrown) {
      if (this.#abort !== abort) return;
      const error = asWinnowError(thrown);
      this.#enter(error.code === "aborted" ? { kind: "idle" } : { kind: "failed", error });
    }
  }

  cancel(): void {
    this.#abort?.abort();
    this.#abort = null;
    if (this.phase.kind === "running") this.#enter({ kind: "idle" });
  }

  #enter(phase: CalibrationPhase): void {
    this.phase = phase;
    this.changed();
  }
}
