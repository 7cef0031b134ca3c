import type {
  CalibrateProgress,
  CalibrationResult,
  Engine,
  SelfCalibration,
} from "../../src/api/types.ts";
import { asWinnowError, WinnowError } from "../../src/errors.ts";
import { Rate } from "./rate.ts";
import { Store } from "./store.ts";

export type CalibrationPhase =
  | { kind: "idle" }
  /** One that begins by itself once the chat is quiet, or goes on then. */
  | { kind: "waiting" }
  /** It would take that long, and is left to the user. */
  | { kind: "asking"; seconds: number }
  | { kind: "running"; progress: CalibrateProgress | null; secondsLeft: number | null }
  | { kind: "failed"; error: WinnowError }
  | { kind: "done"; result: CalibrationResult };

/** One calibration at a time of the engine at hand, begun by the user or by itself. */
export class CalibrationStore extends Store {
  phase: CalibrationPhase = { kind: "idle" };
  #engine: Engine | null = null;
  #abort: AbortController | null = null;
  readonly #rate = new Rate();
  #stage = "";

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
    this.#enter({ kind: "running", progress: null, secondsLeft: null });
    try {
      const result = await engine.calibrate({
        ...(texts ? { texts } : {}),
        signal: abort.signal,
        onProgress: (progress) => {
          if (this.#abort === abort) this.#onProgress(progress);
        },
      });
      if (this.#abort !== abort) return;
      this.#abort = null;
      this.#enter({ kind: "done", result });
    } catch (thrown) {
      if (this.#abort !== abort) return;
      this.#abort = null;
      const error = asWinnowError(thrown);
      this.#enter(error.code === "aborted" ? { kind: "idle" } : { kind: "failed", error });
    }
  }

  /** The state of a calibration that began by itself. */
  hear(event: SelfCalibration): void {
    // The user's own has taken over.
    if (this.#abort !== null) return;
    if (event.state === "waiting") this.#rate.clear();
    if (event.state === "running") this.#onProgress(event.progress);
    else this.#enter(phaseOf(event));
  }

  cancel(): void {
    this.#abort?.abort();
    this.#abort = null;
    if (this.phase.kind === "running") this.#enter({ kind: "idle" });
  }

  /** The user stops it: one that began by itself is not to begin again. */
  async stop(): Promise<void> {
    if (this.#abort !== null) return this.cancel();
    this.#enter({ kind: "idle" });
    await this.#engine?.stopCalibration();
  }

  #onProgress(progress: CalibrateProgress): void {
    if (progress.stage !== this.#stage) this.#rate.clear();
    this.#stage = progress.stage;
    this.#rate.add(progress.loaded, performance.now());
    const secondsLeft = this.#rate.secondsLeft(progress.total);
    this.#enter({ kind: "running", progress, secondsLeft });
  }

  #enter(phase: CalibrationPhase): void {
    this.phase = phase;
    this.changed();
  }
}

function phaseOf(event: Exclude<SelfCalibration, { state: "running" }>): CalibrationPhase {
  if (event.state === "waiting") return { kind: "waiting" };
  if (event.state === "asking") return { kind: "asking", seconds: event.seconds };
  if (event.state === "done") return { kind: "done", result: event.result };
  if (event.state === "stopped") return { kind: "idle" };
  const hint = "Press Calibrate to try again.";
  return { kind: "failed", error: new WinnowError("internal", event.message, { hint }) };
}
