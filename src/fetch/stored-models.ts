/** What the store holds, by model: to be listed and removed. */
import { WinnowError } from "../errors.ts";
import { isSafetensors, partNames } from "../formats/part-names.ts";
import { fileNameOf, hubUrl } from "./addresses.ts";
import { findModel, MODELS } from "./resolve/model-registry.ts";
import {
  absolute,
  isAddress,
  isPath,
  type ModelSource,
  type ResolveOptions,
} from "./resolve/resolve-model.ts";
import type { ModelStore, StoredFile } from "./store/model-store.ts";
import { isPinned } from "./stored-copy.ts";

/** A model, or a part of one, that is stored in this browser (in Node: on this disk). */
export interface StoredModel {
  /** The registered name, or the file's. */
  name: string;
  /** What `createEngine({ model })` and `removeModel` take. */
  source: string;
  /** Stored so far, all files together. */
  bytes: number;
  /** The bytes have the SHA-256 that models.json or the hub states of them. */
  verified: boolean;
  /** When it was last loaded, where that is known. */
  lastUsed: Date | undefined;
  /** All bytes are here: it loads without a download. */
  complete: boolean;
}

/** Lists every model in the store, the last used first. */
export async function listStored(store: ModelStore): Promise<StoredModel[]> {
  const models = await Promise.all(
    [...(await byModel(store))].map(async ([source, files]): Promise<StoredModel> => {
      const used = await Promise.all([...files.keys()].map((key) => store.lastUsed(key)));
      const times = used.flatMap((date) => date?.getTime() ?? []);
      const whole = wholeFiles(files);
      return {
        name: MODELS.some(({ name }) => name === source) ? source : fileNameOf(source),
        source,
        bytes: [...files.values()].reduce((sum, { received }) => sum + received, 0),
        verified: whole.length > 0 && whole.every(([key, record]) => isPinned(key, record)),
        lastUsed: times.length === 0 ? undefined : new Date(Math.max(...times)),
        complete: isComplete(source, files, whole),
      };
    }),
  );
  return models.sort((a, b) => (b.lastUsed?.getTime() ?? 0) - (a.lastUsed?.getTime() ?? 0));
}

/**
 * Removes all files of a model, whole or not; false where there were none.
 * @throws WinnowError `busy` while it is being downloaded; `model_not_found` for a name nobody knows.
 */
export async function removeStored(
  model: ModelSource,
  store: ModelStore,
  options: ResolveOptions = {},
): Promise<boolean> {
  const source = filedUnder(model, options);
  if (source === undefined) return false;
  const files = (await byModel(store)).get(source);
  if (files === undefined) {
    if (!isAddress(source)) findModel(source, options.models);
    return false;
  }
  for (const key of files.keys()) {
    const release = await store.tryLock(lockOf(key));
    if (release === undefined)
      throw new WinnowError("busy", `${source} is being downloaded`, {
        hint: "Abort that first, or close the tab or process that does it.",
        details: { source },
      });
    try {
      await store.remove(key);
    } finally {
      release();
    }
  }
  return true;
}

/** What a model's files are filed under; undefined for Files, Blobs and paths of a disk, which are not stored. */
export function filedUnder(model: ModelSource, options: ResolveOptions = {}): string | undefined {
  if (typeof model !== "string") return "repo" in model ? hubUrl(model) : undefined;
  if (!isAddress(model)) return model;
  return isPath(model, options) ? undefined : absolute(model, options);
}

/** Records by what was asked for. */
async function byModel(store: ModelStore): Promise<Map<string, Map<string, StoredFile>>> {
  const models = new Map<string, Map<string, StoredFile>>();
  for (const [key, record] of await store.list()) {
    const known = MODELS.find(({ sha256 }) => key === `sha256-${sha256}`);
    const source = record.model ?? known?.name ?? record.url;
    const files = models.get(source) ?? new Map<string, StoredFile>();
    models.set(source, files.set(key, record));
  }
  return models;
}

/** Both places of a file have one lock. */
const lockOf = (key: string): string => key.replace(/-b$/, "");

const wholeFiles = (files: ReadonlyMap<string, StoredFile>): [string, StoredFile][] =>
  [...files].filter(([, { verified }]) => verified);

/** A new version on its way leaves the old one whole. */
function isComplete(
  source: string,
  files: ReadonlyMap<string, StoredFile>,
  whole: readonly [string, StoredFile][],
): boolean {
  const distinct = new Set([...files.keys()].map(lockOf));
  const complete = new Set(whole.map(([key]) => lockOf(key)));
  const needed = isSafetensors(source) ? 1 : partNames(source).length;
  return complete.size === distinct.size && complete.size >= needed;
}
