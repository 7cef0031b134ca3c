import { readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { LoadProgress, ModelSource } from "../api/types.ts";
import { giveUpModel, type ReadableModel } from "../api/worker/open-engine.ts";
import { type HubFile, hubUrl } from "../fetch/addresses.ts";
import type { HttpOptions } from "../fetch/http.ts";
import { findModel, type ModelEntry } from "../fetch/resolve/model-registry.ts";
import { type ResolveOptions, registeredAs, resolveModel } from "../fetch/resolve/resolve-model.ts";
import { blobSources, partsFromFiles } from "../fetch/resolve/resolve-parts.ts";
import { sha256OfSource } from "../fetch/sha256-stream.ts";
import { findKept, storeKey } from "../fetch/stored-copy.ts";
import { BlobSource, isBlob } from "../formats/blob-source.ts";
import { NodeFileSource } from "../formats/node-source.ts";
import { isParted, isSafetensors, partNames } from "../formats/part-names.ts";
import { diskStore } from "./cache-folder.ts";
import { fetchEntry } from "./fetch-entry.ts";

export interface NodeModel extends ReadableModel {
  /** Where its file lies once it is verified; undefined for a Blob, and for several files. */
  path(): Promise<string | undefined>;
  close(): Promise<void>;
  /** The registered model this is, if it is one. */
  entry?: ModelEntry;
}

/**
 * Finds a model for Node: a name (fetched into the cache folder), a path, a URL, a Blob, a hub file.
 * Throws model_not_found, network, bad_model_file, aborted.
 */
export async function resolveNodeModel(
  model: ModelSource,
  onProgress: (progress: LoadProgress) => void,
  signal?: AbortSignal,
  http: HttpOptions = {},
): Promise<NodeModel> {
  if (isList(model)) return fromSources(blobSources(model));
  if (isBlob(model)) return readable(new BlobSource(model));
  if (typeof model === "string" && !isUrl(model) && isPath(model))
    return isParted(model) ? fromSources(await openSiblings(toPath(model))) : openPath(model);
  const store = diskStore();
  const options = {
    ...http,
    store,
    onProgress: (
      ...[stage, loaded, total, waiting]: Parameters<NonNullable<ResolveOptions["onProgress"]>>
    ) => onProgress({ stage, loaded, total, ...(waiting && { waiting }) }),
    ...(signal && { signal }),
  };
  const named = typeof model === "string" && !isUrl(model) ? findModel(model) : undefined;
  const found = named ? await fetchEntry(named, options) : await resolveModel(model, options);
  const entry =
    found.entry ??
    (await registeredAs(found).catch(async (error: unknown) => {
      await giveUpModel(found, error);
      throw error;
    }));
  const url = named
    ? hubUrl(named.url)
    : typeof model === "string"
      ? model
      : hubUrl(model as HubFile);
  return {
    ...found,
    ...(entry ? { entry } : {}),
    async path() {
      const { whole } = await findKept(store, await storeKey(url, named?.sha256));
      return whole && store.pathOf(whole.key);
    },
    close: async () => found.close?.(),
  };
}

/** Throws model_not_found for a name nobody knows and a path where nothing is; fetches nothing. */
export async function checkModelName(model: string): Promise<void> {
  if (isUrl(model)) return;
  if (isPath(model)) await (await NodeFileSource.open(toPath(model))).close();
  else findModel(model);
}

const isList = (model: ModelSource): model is readonly Blob[] => Array.isArray(model);
const isUrl = (model: string): boolean => /^https?:/i.test(model);
const isPath = (model: string): boolean => /[/\\]|\.(gguf|safetensors)$/i.test(model);
const toPath = (model: string): string =>
  model.startsWith("file:") ? fileURLToPath(model) : resolve(model);

/** A file that is a registered model under another name is that model: it has filters. */
async function openPath(model: string): Promise<NodeModel> {
  const path = toPath(model);
  const source = await NodeFileSource.open(path);
  const entry = await registeredAs({
    source,
    verified: async () => ({ sha256: await sha256OfSource(source) }),
  });
  return readable(source, entry, path);
}

function readable(
  source: NodeFileSource | BlobSource,
  entry?: ModelEntry,
  path?: string,
): NodeModel {
  let hash: Promise<string> | undefined;
  return {
    source,
    name: entry?.name ?? source.name,
    ...(entry ? { entry } : {}),
    ...(entry?.sha256 === undefined ? {} : { sha256: entry.sha256 }),
    path: async () => path,
    async verified() {
      // A registered file was verified when it was found.
      hash ??= entry?.sha256 ? Promise.resolve(entry.sha256) : sha256OfSource(source);
      return { sha256: await hash };
    },
    async close() {
      // Closing under a hash that still reads would fail it.
      await hash?.catch(() => {});
      if (source instanceof NodeFileSource) await source.close();
    },
  };
}

/** All files of a model in parts that lie beside the named one. */
async function openSiblings(path: string): Promise<NodeFileSource[]> {
  const wanted = isSafetensors(path)
    ? (await readdir(dirname(path))).filter((name) => /\.(safetensors|json|jinja)$/.test(name))
    : partNames(basename(path));
  const opened = await Promise.allSettled(
    wanted.map((name) => NodeFileSource.open(join(dirname(path), name))),
  );
  const files = opened.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failed = opened.find((one) => one.status === "rejected");
  if (failed === undefined) return files;
  await Promise.all(files.map((file) => file.close()));
  throw failed.reason;
}

async function fromSources(files: readonly (NodeFileSource | BlobSource)[]): Promise<NodeModel> {
  const closeAll = async (): Promise<void> => {
    for (const file of files) if (file instanceof NodeFileSource) await file.close();
  };
  try {
    const { checked: _, ...model } = await partsFromFiles(files);
    return { ...model, path: async () => undefined, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
