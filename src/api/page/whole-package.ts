import type { listModels, removeModel } from "../stored-models.ts";
import type { whereIs } from "../where-is.ts";
import type { createEngine } from "./create-engine.ts";

/** Where an imported `winnow-llm/service-worker` leaves the whole package: a service worker can import nothing later. */
export const WHOLE_PACKAGE: unique symbol = Symbol.for("winnow-llm/service-worker");

export interface WholePackage {
  readonly createEngine: typeof createEngine;
  readonly listModels: typeof listModels;
  readonly removeModel: typeof removeModel;
  readonly whereIs: typeof whereIs;
}

export const wholePackage = (): WholePackage | undefined => Reflect.get(globalThis, WHOLE_PACKAGE);
