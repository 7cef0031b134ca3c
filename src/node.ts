/**
 * The same engine in Node, over Dawn (the optional package `webgpu`) and without a worker.
 *
 * @module winnow-llm/node
 */

import { isGiven } from "./api/checks/check.ts";
import { checkEngineOptions, checkModel } from "./api/checks/validate-engine.ts";
import { EngineClient } from "./api/page/client.ts";
import { connectLocal } from "./api/page/connect-local.ts";
import type { Engine, EngineOptions, ModelSource, StoredModel } from "./api/types.ts";
import { EngineService } from "./api/worker/service.ts";
import { listStored, removeStored } from "./fetch/stored-models.ts";
import { diskStore } from "./node/cache-folder.ts";
import { openInNode } from "./node/open-in-node.ts";

/**
 * The same engine in Node, over Dawn (the `webgpu` package) and without a worker. A model name is
 * looked up in WINNOW_CACHE (default: ./.cache/models, else ~/.cache/winnow) and fetched if need be;
 * a path to a .gguf works too.
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const checked = checkEngineOptions(options);
  const open = () =>
    EngineClient.open(connectLocal(new EngineService(openInNode(checked.tokenizer))), checked, {
      calibrate: "off",
    });
  if (!isGiven(options.mode ?? options.remote)) return open();
  const { openHybrid } = await import("./api/remote/hybrid-engine.ts");
  return openHybrid(options, open, listModels);
}

/** Models that are stored in the cache folder, last used first. What lies elsewhere on the disk is not listed. */
export const listModels = (): Promise<StoredModel[]> => listStored(diskStore());

/**
 * Removes a stored model, whole or in part, and the filters that were fetched for it. False where none is stored; a file
 * that is given by its path is left alone.
 * @throws WinnowError `busy` while it is being downloaded, here or by another process; `model_not_found` for a name
 * nobody knows; `invalid_argument`.
 */
export async function removeModel(source: ModelSource): Promise<boolean> {
  return removeStored(checkModel(source), diskStore());
}

export type * from "./api/types.ts";
export { ERROR_CODES, type ErrorCode, WinnowError } from "./errors.ts";
