import type { Engine, EngineOptions, ModelSource, StoredModel } from "../types.ts";

/** Where an imported `winnow-llm/service-worker` leaves the whole package: a service worker can import nothing later. */
export const WHOLE_PACKAGE: unique symbol = Symbol.for("winnow-llm/service-worker");

export interface WholePackage {
  createEngine(options: EngineOptions): Promise<Engine>;
  listModels(): Promise<StoredModel[]>;
  removeModel(source: ModelSource): Promise<boolean>;
  whereIs(model: ModelSource, list: () => Promise<StoredModel[]>): Promise<Whereabouts>;
}

/** Where a model's bytes are. */
export type Whereabouts = "here" | "elsewhere" | "unknown";

export const wholePackage = (): WholePackage | undefined => Reflect.get(globalThis, WHOLE_PACKAGE);
