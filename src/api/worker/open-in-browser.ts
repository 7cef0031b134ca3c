import { defined } from "../../defined.ts";
import { loadLater, type WinnowError } from "../../errors.ts";
import { fetchHubFile } from "../../fetch/hub/hub-file.ts";
import { findModel, MODELS, type ModelEntry } from "../../fetch/resolve/model-registry.ts";
import { registeredAs, resolveModel } from "../../fetch/resolve/resolve-model.ts";
import { calibrationStore } from "../../fetch/store/calibration-store.ts";
import { openOpfsFolder } from "../../fetch/store/opfs-folder.ts";
import { openGpu } from "../../gpu/context.ts";
import { checkMemory } from "../checks/check-memory.ts";
import type { OwnFilters, WireEngineOptions } from "../protocol.ts";
import type { ExternalTokenizer } from "../types.ts";
import { browserTuningStore } from "./browser-tuning-store.ts";
import { giveUpModel, httpOptions, openEngine } from "./open-engine.ts";
import type { OpenEngine } from "./opened-engine.ts";

/** Folder in the origin private file system. */
const CALIBRATIONS = ["winnow", "calibrations"];

/** Checks the adapter and the memory, fetches the model and loads it. For workers and pages. */
export function openInBrowser(gpu: GPU | undefined, tokenizer?: ExternalTokenizer): OpenEngine {
  return async (options, onProgress, signal, ownFilters) => {
    // Throws what is wrong with WebGPU or the adapter before anything is fetched.
    (await openGpu(gpu)).destroy();
    const { model, cache, memoryLimit, baseUrl } = options;
    if (typeof model === "string" && MODELS.some((entry) => entry.name === model)) {
      checkMemory(findModel(model), cache, memoryLimit);
    }
    const resolved = await resolveModel(model, {
      ...defined({ baseUrl }),
      ...httpOptions(options.download),
      onProgress: (stage, loaded, total, waiting) =>
        onProgress({ stage, loaded, total, ...(waiting && { waiting }) }),
      signal,
    });
    const prepare = async () => ({
      entry: resolved.entry ?? (await registeredAs(resolved)),
      filters: await readFilters(options, signal),
    });
    const { entry, filters } = await prepare().catch(async (error: unknown) => {
      await giveUpModel(resolved, error);
      throw error;
    });
    const known = entry?.sha256 ? { ...resolved, sha256: entry.sha256 } : resolved;
    return openEngine({
      gpu,
      model: known,
      options,
      budget: entry?.budget,
      filters,
      tokenizer,
      calibrations: calibrationStore(() => openOpfsFolder(CALIBRATIONS)),
      ownFilters: () => readOwnFilters(entry, ownFilters, signal),
      tuningStore: browserTuningStore,
      openFile: async (address, stop) => {
        const { fetchFile } = await loadLater("files by address", () => import("./fetch-file.ts"));
        return fetchFile(address, baseUrl, httpOptions(options.download), stop);
      },
      onProgress,
      signal,
    });
  };
}

/** The caller's filters, if any. */
async function readFilters(
  { filters, baseUrl }: WireEngineOptions,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  if (typeof filters !== "string") return filters;
  const load = () => import("./fetch-filters.ts");
  return (await loadLater("filters by address", load)).fetchFilters(filters, baseUrl, signal);
}

/** The model's own filters, whose absence is no error (k-norm steps in). */
async function readOwnFilters(
  entry: ModelEntry | undefined,
  ownFilters: OwnFilters | undefined,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const own = entry?.filters;
  if (own === undefined) return undefined;
  const reading =
    typeof own === "string"
      ? ownFilters?.(entry!.name)
      : fetchHubFile(own, { model: entry!.name, signal });
  return reading?.catch((error: WinnowError) => {
    if (signal.aborted) throw error;
    return undefined;
  });
}
