import { loadLater } from "../errors.ts";
import { checkModel } from "./checks/validate-engine.ts";
import { wholePackage } from "./page/whole-package.ts";
import type { ModelSource, StoredModel } from "./types.ts";

const stored = async () => {
  const load = () =>
    Promise.all([import("../fetch/stored-models.ts"), import("../fetch/store/opfs-store.ts")]);
  const [models, { openModelStore }] = await loadLater("stored models", load);
  return { ...models, store: await openModelStore() };
};

/** Models that are stored in this browser for this origin, last used first. Works in pages and in workers. */
export async function listModels(): Promise<StoredModel[]> {
  return wholePackage()?.listModels() ?? listHere();
}

export async function listHere(): Promise<StoredModel[]> {
  const { listStored, store } = await stored();
  return listStored(store);
}

/**
 * Removes a stored model, whole or in part, and the filters that were fetched for it. False where none is stored, as of
 * Files and Blobs. An engine that has loaded it goes on, until it must read the file again after a lost device.
 * @throws WinnowError `busy` while it is being downloaded, here or in another tab; `model_not_found` for a name nobody
 * knows; `invalid_argument`.
 */
export async function removeModel(source: ModelSource): Promise<boolean> {
  return wholePackage()?.removeModel(source) ?? removeHere(source);
}

export async function removeHere(source: ModelSource): Promise<boolean> {
  const model = checkModel(source);
  const { removeStored, store } = await stored();
  return removeStored(model, store);
}
