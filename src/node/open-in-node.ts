import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkMemory } from "../api/checks/check-memory.ts";
import type { ExternalTokenizer } from "../api/types.ts";
import { fetchFile } from "../api/worker/fetch-file.ts";
import { giveUpModel, httpOptions, openEngine } from "../api/worker/open-engine.ts";
import type { OpenEngine } from "../api/worker/opened-engine.ts";
import { findModel, MODELS } from "../fetch/resolve/model-registry.ts";
import { type CalibrationStore, calibrationStore } from "../fetch/store/calibration-store.ts";
import { NodeFileSource } from "../formats/node-source.ts";
import { openGpu } from "../gpu/context.ts";
import { modelCacheFolder } from "./cache-folder.ts";
import { nodeGpu, requireAdapter } from "./dawn.ts";
import { diskFolder } from "./disk-folder.ts";
import { readGivenFilters, readOwnFilters } from "./filter-files.ts";
import { resolveNodeModel } from "./model-files.ts";
import { tuningFile } from "./tuning-file.ts";

/** Calibrations that were kept on this disk, beside the models. */
const nodeCalibrations = (): CalibrationStore =>
  calibrationStore(async () => diskFolder(join(modelCacheFolder(), "calibrations")));

/**
 * Checks the adapter and the memory, finds the model and loads it. `kept` false: calibrations that were kept
 * are left alone, so that a result depends on what was asked for and not on what was done before.
 */
export function openInNode(tokenizer?: ExternalTokenizer, kept = true): OpenEngine {
  return async (options, onProgress, signal) => {
    const gpu = await nodeGpu();
    await requireAdapter(gpu);
    (await openGpu(gpu)).destroy();
    const { model, cache, memoryLimit } = options;
    if (typeof model === "string" && MODELS.some((entry) => entry.name === model)) {
      checkMemory(findModel(model), cache, memoryLimit);
    }
    const resolved = await resolveNodeModel(
      model,
      onProgress,
      signal,
      httpOptions(options.download),
    );
    const filters = await readGivenFilters(options.filters).catch(async (error) => {
      await giveUpModel(resolved, error);
      throw error;
    });
    return openEngine({
      gpu,
      model: resolved,
      options,
      budget: resolved.entry?.budget,
      filters,
      tokenizer,
      ...(kept ? { calibrations: nodeCalibrations() } : {}),
      ownFilters: () => readOwnFilters(resolved.entry),
      tuningStore: tuningFile(modelCacheFolder()),
      openFile: async (address, stop) =>
        // A path of Windows begins like an address.
        /^https?:/i.test(address)
          ? fetchFile(address, undefined, httpOptions(options.download), stop)
          : NodeFileSource.open(address.startsWith("file:") ? fileURLToPath(address) : address),
      onProgress,
      signal,
    });
  };
}
