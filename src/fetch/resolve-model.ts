import { asWinnowError, invalidArgument, loadLater, WinnowError } from "../errors.ts";
import { BlobSource, isBlob } from "../formats/blob-source.ts";
import type { ByteSource } from "../formats/byte-source.ts";
import { isParted } from "../formats/part-names.ts";
import { type Download, download } from "./download.ts";
import { type HttpOptions, type HubFile, hubFileOf, hubUrl } from "./http.ts";
import { findModel, type ModelEntry } from "./model-registry.ts";
import type { sha256OfSource } from "./sha256-stream.ts";
import type { ModelStore } from "./store/model-store.ts";
import { openModelStore } from "./store/opfs-store.ts";

/** The public API's source: a name in models.json, a URL, a File or Blob or several, or a hub file. */
export type ModelSource = string | Blob | readonly Blob[] | HubFile;

export interface ResolveOptions extends HttpOptions {
  /** Base of relative addresses: the page's, which a worker must be told. */
  readonly baseUrl?: string;
  /** Models known by name. Default: public/models.json. */
  readonly models?: readonly ModelEntry[];
  /** Default: OPFS, or memory where there is none. */
  readonly store?: ModelStore;
  readonly onProgress?: (
    stage: "resolve" | "download" | "verify",
    loaded: number,
    total: number,
  ) => void;
  readonly signal?: AbortSignal;
}

export interface ResolvedModel {
  /** Readable at once; reads wait for bytes still on their way. */
  readonly source: ByteSource;
  /** For people and for `info()`: the registered name, or the file's. */
  readonly name: string;
  /** The hash the bytes must have, where it is known beforehand. */
  readonly sha256?: string;
  /** The registered model this is, if it is one. */
  readonly entry?: ModelEntry;
  /** Notices about where the model came from. */
  readonly notices?: readonly string[];
  /**
   * All bytes are there and hashed. Await it before answering with the model: a damaged download
   * shows only here.
   */
  verified(): Promise<{ sha256: string }>;
}

/**
 * Finds the model and starts to fetch it if it must be fetched. A named model comes from the store,
 * else from `entry.local` next to the page, else from the hub.
 * @throws WinnowError `invalid_argument`, `model_not_found`, `network`, `bad_model_file`, `aborted`.
 */
export async function resolveModel(
  model: ModelSource,
  options: ResolveOptions = {},
): Promise<ResolvedModel> {
  options.onProgress?.("resolve", 0, 1);
  if (isList(model)) {
    const files = checkFiles(model);
    const { blobSources, partsFromFiles } = await severalFiles();
    return partsFromFiles(blobSources(files), options);
  }
  if (isBlob(model)) return fromBlob(model, options);
  if (typeof model === "object" && model !== null) {
    if (typeof model.repo !== "string" || typeof model.file !== "string")
      throw invalidArgument("model", "needs repo and file, both strings");
    return fromUrls([hubUrl(model)], model.file, undefined, options);
  }
  if (typeof model !== "string" || model === "")
    throw invalidArgument("model", "must be a name, a URL, a File or Blob, or { repo, file }");
  if (isAddress(model)) return fromUrls([absolute(model, options)], model, undefined, options);
  const entry = findModel(model, options.models);
  const local = baseOf(options) === undefined ? [] : [absolute(entry.local, options)];
  return fromUrls([...local, hubUrl(entry.url)], entry.name, entry, options);
}

/** Most models are one file: what reads the others comes when it is needed. */
const severalFiles = () => loadLater("models of several files", () => import("./resolve-parts.ts"));

/** Anything with a slash or ending in .gguf is an address; names have neither. */
const isAddress = (model: string): boolean => /[/\\]|\.(gguf|safetensors)$/i.test(model);

const isList = (model: ModelSource): model is readonly Blob[] => Array.isArray(model);

function checkFiles(files: readonly unknown[]): readonly Blob[] {
  if (files.length > 0 && files.every(isBlob)) return files;
  throw invalidArgument("model", "a list must hold Files or Blobs, one at least");
}

const baseOf = (options: ResolveOptions): string | undefined =>
  options.baseUrl ?? globalThis.document?.baseURI ?? globalThis.location?.origin;

function absolute(address: string, options: ResolveOptions): string {
  try {
    return new URL(address, baseOf(options)).href;
  } catch (cause) {
    throw new WinnowError("invalid_argument", `model: "${address}" is not a valid address`, {
      hint: "Give an absolute URL.",
      details: { field: "model" },
      cause,
    });
  }
}

async function fromBlob(blob: Blob, options: ResolveOptions): Promise<ResolvedModel> {
  const { onProgress, signal } = options;
  const source = new BlobSource(blob);
  // Names the parts that are missing.
  if (isParted(source.name)) return (await severalFiles()).partsFromFiles([source], options);
  let hash: Promise<string> | undefined;
  return {
    source,
    name: source.name,
    async verified() {
      hash ??= hashOf(source, (loaded, total) => onProgress?.("verify", loaded, total), signal);
      return { sha256: await hash };
    },
  };
}

const hashOf: typeof sha256OfSource = async (...of) =>
  (await loadLater("hashes", () => import("./sha256-stream.ts"))).sha256OfSource(...of);

/** Says that a model's bytes were taken as they came. */
export const unchecked = (name: string, url: string): string =>
  hubFileOf(url)
    ? `${name}: huggingface.co could not be asked what the file must be, so its bytes were not checked`
    : `${name}: no hash of the file is known, so what ${new URL(url).host} sent was not checked`;

/** The first address that has the model; the last one's error if none has. */
async function fromUrls(
  urls: readonly string[],
  name: string,
  entry: ModelEntry | undefined,
  options: ResolveOptions,
): Promise<ResolvedModel> {
  const store = options.store ?? (await openModelStore());
  const sha256 = entry?.sha256;
  const known = entry === undefined || sha256 === undefined ? {} : { sha256, bytes: entry.bytes };
  const common = (url: string, checked: boolean) => ({
    ...(entry === undefined ? {} : { entry }),
    // Nobody but the user could say what should lie at an address that the user named.
    ...(checked || (entry === undefined && !hubFileOf(url))
      ? {}
      : { notices: [unchecked(name, url)] }),
  });
  for (const [i, url] of urls.entries()) {
    if (isParted(url)) {
      const { partsFromUrl } = await severalFiles();
      const { checked, ...parted } = await partsFromUrl(url, { ...options, store });
      return { ...parted, name, ...common(url, checked) };
    }
    let started: Download;
    try {
      started = await download(url, { ...options, ...known, store });
    } catch (thrown) {
      const error = asWinnowError(thrown);
      if (error.code === "aborted" || i === urls.length - 1) throw error;
      continue;
    }
    const { source, done, checked, sha256 } = started;
    return {
      source,
      name,
      ...common(url, checked),
      ...(sha256 === undefined ? {} : { sha256 }),
      verified: () => done,
    };
  }
  throw new WinnowError("internal", "no address to load the model from");
}
