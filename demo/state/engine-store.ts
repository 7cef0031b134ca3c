import type { Engine, LoadProgress, SelfCalibration } from "../../src/api/types.ts";
import { asWinnowError, type WinnowError } from "../../src/errors.ts";
import { type Library, loadLibrary } from "./engine-source.ts";
import type { ModelChoice } from "./models.ts";
import { Rate } from "./rate.ts";
import { inferenceOf, keepServer, readServer, type ServerSettings } from "./server-settings.ts";
import { Store } from "./store.ts";

export type EnginePhase =
  | { kind: "idle" }
  | { kind: "loading"; progress: LoadProgress; secondsLeft: number | null }
  | { kind: "failed"; error: WinnowError }
  | { kind: "ready"; engine: Engine };

/** Loads one engine at a time, and knows how far it is. */
export class EngineStore extends Store {
  phase: EnginePhase = { kind: "idle" };
  choice: ModelChoice | null = null;
  /** Who may answer in this device's place, from the next load on. */
  server = readServer();
  /** How far the model is that a server answers for until it is there. */
  download: LoadProgress | null = null;
  #abort: AbortController | null = null;
  readonly #library: () => Promise<Pick<Library, "createEngine">>;

  constructor(library: () => Promise<Pick<Library, "createEngine">> = loadLibrary) {
    super();
    this.#library = library;
  }

  get engine(): Engine | null {
    return this.phase.kind === "ready" ? this.phase.engine : null;
  }

  /** The engine, where it is of this device: a server keeps its cache to itself. */
  get here(): Engine | null {
    return this.engine?.info().inference?.source === "in_cloud" ? null : this.engine;
  }

  /** Of the server, where nothing was loaded here. */
  get modelName(): string {
    if (this.engine !== null && this.here === null) return this.engine.info().model.name;
    return this.choice?.label ?? "";
  }

  allow(server: ServerSettings): void {
    this.server = server;
    keepServer(server);
    this.changed();
  }

  /** With the engine's own settings. Never throws: a failure becomes the phase. */
  async load(
    choice: ModelChoice,
    onCalibration: (event: SelfCalibration) => void = () => {},
  ): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.choice = choice;
    this.#enter({
      kind: "loading",
      progress: { stage: "resolve", loaded: 0, total: 0 },
      secondsLeft: null,
    });
    const rate = new Rate();
    let stage = "";
    const onProgress = (progress: LoadProgress): void => {
      if (this.#abort !== abort) return;
      if (progress.stage !== stage) rate.clear();
      stage = progress.stage;
      if (this.phase.kind === "ready") {
        this.download = progress;
        this.changed();
        return;
      }
      rate.add(progress.loaded, performance.now());
      this.#enter({ kind: "loading", progress, secondsLeft: rate.secondsLeft(progress.total) });
    };
    try {
      const { createEngine } = await this.#library();
      const engine = await createEngine({
        model: choice.source,
        ...inferenceOf(this.server),
        onProgress,
        onCalibration: (event) => {
          if (this.#abort === abort) onCalibration(event);
        },
        signal: abort.signal,
      });
      if (this.#abort !== abort) return await engine.close();
      this.#enter({ kind: "ready", engine });
      await this.#arrived(engine, abort);
    } catch (thrown) {
      if (this.#abort !== abort) return;
      const error = asWinnowError(thrown);
      this.#enter(error.code === "aborted" ? { kind: "idle" } : { kind: "failed", error });
    }
  }

  /** Waits for a model that is being downloaded while a server answers. */
  async #arrived(engine: Engine, abort: AbortController): Promise<void> {
    const coming = (): boolean => {
      const { fallback } = engine.info().inference ?? {};
      return fallback?.reason === "not_downloaded" && fallback.code === undefined;
    };
    while (this.#abort === abort && coming())
      await new Promise((resolve) => setTimeout(resolve, 200));
    if (this.#abort !== abort) return;
    this.download = null;
    this.changed();
  }

  /** Back to the choice of models. What was downloaded is kept and resumes. */
  cancel(): void {
    this.#abort?.abort();
    this.#abort = null;
    this.#enter({ kind: "idle" });
  }

  async unload(): Promise<void> {
    const engine = this.engine;
    this.#abort = null;
    this.#enter({ kind: "idle" });
    await engine?.close();
  }

  #enter(phase: EnginePhase): void {
    this.phase = phase;
    this.changed();
  }
}
