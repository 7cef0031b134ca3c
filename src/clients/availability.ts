import { wholePackage } from "../api/page/whole-package.ts";
import type { ModelSource } from "../api/types.ts";
import { whereIs } from "../api/where-is.ts";
import { createEngine } from "../index.ts";
import type { EngineMaker, EngineSource } from "./shared-engine.ts";

/**
 * Whether a model can answer: it cannot ("unavailable"), it must be fetched first ("downloadable"), it is being loaded
 * ("downloading"), or it is stored or loaded ("available").
 */
export type Availability = "unavailable" | "downloadable" | "downloading" | "available";

const PLACES = { here: "available", elsewhere: "downloadable", unknown: "unavailable" } as const;

/** Whether this browser offers WebGPU; asks no adapter. */
export const hasWebGpu = (): boolean => globalThis.navigator?.gpu !== undefined;

/** What can be said of a model before it is loaded; nothing is fetched. Engines of another maker need no WebGPU of this scope. */
export async function availabilityOf(
  model: ModelSource,
  source: EngineSource,
  maker: EngineMaker,
): Promise<Availability> {
  if (source.state !== "none") return source.state === "loaded" ? "available" : "downloading";
  if (maker.createEngine === createEngine && !(await hasAdapter())) return "unavailable";
  const find = wholePackage()?.whereIs ?? whereIs;
  return PLACES[await find(model, maker.listModels)];
}

async function hasAdapter(): Promise<boolean> {
  return hasWebGpu() && (await navigator.gpu.requestAdapter()) !== null;
}
