import type { Engine, EngineOptions, LoadProgress } from "../api/types.ts";
import { throwIfAborted, WinnowError } from "../errors.ts";
import type { createEngine, listModels } from "../index.ts";

/** What makes engines and knows what is stored: `winnow-llm` in pages, `winnow-llm/node` in Node. */
export interface EngineMaker {
  /** Loads a model. */
  createEngine: typeof createEngine;
  /** The models that need no download. */
  listModels: typeof listModels;
}

type OnProgress = (progress: LoadProgress) => void;

/** Where an engine comes from. */
export interface EngineSource {
  readonly state: "none" | "loading" | "loaded";
  /** The engine, which is loaded if need be. `signal` ends the wait, not the load: others may wait for it. */
  get(signal?: AbortSignal, onProgress?: OnProgress): Promise<Engine>;
  /** The engine does not answer any more: the next who asks loads it anew. */
  forget(): void;
  /** Ends a load that is under way, or frees the engine. It is loaded anew when it is next asked for. */
  close(): Promise<void>;
}

/** An engine that was loaded elsewhere stays its owner's. */
export const givenEngine = (engine: Engine): EngineSource => ({
  state: "loaded",
  get: async () => engine,
  forget: () => {},
  close: async () => {},
});

/** One engine for all who ask for it: it is loaded when the first of them does. */
export class SharedEngine implements EngineSource {
  private readonly options: Omit<EngineOptions, "onProgress" | "signal">;
  private readonly make: EngineMaker["createEngine"];
  private load: { engine: Promise<Engine>; stop: AbortController; done: boolean } | undefined;
  private readonly listeners = new Set<OnProgress>();

  constructor(
    options: Omit<EngineOptions, "onProgress" | "signal">,
    make: EngineMaker["createEngine"],
  ) {
    this.options = options;
    this.make = make;
  }

  get state(): EngineSource["state"] {
    if (!this.load) return "none";
    return this.load.done ? "loaded" : "loading";
  }

  async get(signal?: AbortSignal, onProgress?: OnProgress): Promise<Engine> {
    throwIfAborted(signal);
    if (onProgress) this.listeners.add(onProgress);
    try {
      this.load ??= this.begin();
      return await orAborted(this.load.engine, signal);
    } finally {
      if (onProgress) this.listeners.delete(onProgress);
    }
  }

  forget(): void {
    this.load = undefined;
  }

  async close(): Promise<void> {
    const { load } = this;
    this.forget();
    load?.stop.abort();
    const engine = await load?.engine.catch(() => undefined);
    await engine?.close();
  }

  private begin(): NonNullable<typeof this.load> {
    const stop = new AbortController();
    const onProgress: OnProgress = (progress) => {
      for (const listener of this.listeners) listener(progress);
    };
    const engine = this.make({ ...this.options, onProgress, signal: stop.signal });
    const load = { engine, stop, done: false };
    engine.then(
      () => {
        load.done = true;
      },
      () => {
        if (this.load === load) this.forget();
      },
    );
    return load;
  }
}

/** What `promise` gives, or the rejection `aborted` once `signal` fires. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  let leave = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    leave = () => reject(new WinnowError("aborted", "the operation was aborted"));
  });
  signal?.addEventListener("abort", leave);
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}
