import type { ModelSource } from "../api/types.ts";
import { loadLater } from "../errors.ts";
import { createEngine } from "../index.ts";
import type { EngineMaker, EngineSource } from "./shared-engine.ts";

/**
 * Whether a model can answer: it cannot ("unavailable"), it must be fetched first ("downloadable"), it is being loaded
 * ("downloading"), or it is stored or loaded ("available").
 */
export type Availability = "unavailable" | "downloadable" | "downloading" | "available";

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
  const load = () =>
    Promise.all([
      import("../fetch/stored-models.ts"),
      import("../fetch/resolve/model-registry.ts"),
      import("../fetch/resolve/resolve-model.ts"),
    ]);
  const [{ filedUnder }, { MODELS }, { isAddress }] = await loadLater("stored models", load);
  const name = filedUnder(model);
  // Files are here, and so is what a path of Node names.
  if (name === undefined) return "available";
  const stored = await maker.listModels();
  if (stored.some(({ source, complete }) => complete && source === name)) return "available";
  const known = isAddress(name) || MODELS.some((entry) => entry.name === name);
  return known ? "downloadable" : "unavailable";
}

async function hasAdapter(): Promise<boolean> {
  return hasWebGpu() && (await navigator.gpu.requestAdapter()) !== null;
}
