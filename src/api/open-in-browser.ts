import { WinnowError } from "../errors.ts";
import { isWebPage, readBody, request } from "../fetch/http.ts";
import { fetchHubFile } from "../fetch/hub-file.ts";
import { findModel, MODELS, type ModelEntry } from "../fetch/model-registry.ts";
import { type ResolvedModel, resolveModel } from "../fetch/resolve-model.ts";
import { calibrationStore } from "../fetch/store/calibration-store.ts";
import { openOpfsFolder } from "../fetch/store/opfs-folder.ts";
import { openGpu } from "../gpu/context.ts";
import { browserTuningStore } from "./browser-tuning-store.ts";
import { checkMemory } from "./check-memory.ts";
import { openEngine } from "./open-engine.ts";
import type { OwnFilters, WireEngineOptions } from "./protocol.ts";
import type { OpenEngine } from "./service.ts";
import type { ExternalTokenizer } from "./types.ts";

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
      ...(baseUrl === undefined ? {} : { baseUrl }),
      onProgress: (stage, loaded, total) => onProgress({ stage, loaded, total }),
      signal,
    });
    const entry = resolved.entry ?? (await sameFile(resolved));
    const filters = await readFilters(options, signal);
    const known = entry?.sha256 ? { ...resolved, sha256: entry.sha256 } : resolved;
    return openEngine({
      gpu,
      model: known,
      options,
      filters,
      tokenizer,
      calibrations: calibrationStore(() => openOpfsFolder(CALIBRATIONS)),
      ownFilters: () => readOwnFilters(entry, ownFilters, signal),
      tuningStore: browserTuningStore,
      onProgress,
      signal,
    });
  };
}

/** A registered model that came as a file or from another address: its bytes tell. */
async function sameFile(model: ResolvedModel): Promise<ModelEntry | undefined> {
  const candidate = MODELS.find(
    ({ bytes, sha256 }) => sha256 !== undefined && bytes === model.source.size,
  );
  if (!candidate) return undefined;
  return (await model.verified()).sha256 === candidate.sha256 ? candidate : undefined;
}

/** The caller's filters, if any. */
async function readFilters(
  { filters, baseUrl }: WireEngineOptions,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  return typeof filters === "string" ? fetchFilters(filters, baseUrl, signal) : filters;
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
    typeof own === "string" ? ownFilters?.(entry!.name) : fetchHubFile(own, { signal });
  return reading?.catch((error: WinnowError) => {
    if (signal.aborted) throw error;
    return undefined;
  });
}

async function fetchFilters(
  address: string,
  baseUrl: string | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  try {
    const url = new URL(address, baseUrl).href;
    const response = await request(url, {}, {}, signal);
    if (isWebPage(response)) throw new Error("a web page is there");
    return await readBody(url, response, signal);
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new WinnowError(
      "bad_filters",
      `filters: ${address} could not be read: ${(cause as Error).message}`,
      {
        hint: "Check the address, or leave filters out.",
        cause,
      },
    );
  }
}
