import { defined } from "../../defined.ts";
import { asWinnowError, invalidArgument, loadLater, WinnowError } from "../../errors.ts";
import { BlobSource, isBlob } from "../../formats/blob-source.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import { isParted } from "../../formats/part-names.ts";
import { type HubFile, hubFileOf, hubUrl } from "../addresses.ts";
import { download } from "../download.ts";
import type { HttpOptions, Waiting } from "../http.ts";
import type { sha256OfSource } from "../sha256-stream.ts";
import type { ModelStore } from "../store/model-store.ts";
import { memoryStore } from "../store/open-memory.ts";
import { openModelStore } from "../store/opfs-store.ts";
import type { Download } from "../stored-copy.ts";
import { findModel, MODELS, type ModelEntry } from "./model-registry.ts";

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
    /** 0 where the server does not tell. */
    total: number,
    waiting?: Waiting,
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
  /** Stops a download that is under way, keeping what came, and gives up what is open. */
  close?(): Promise<void>;
  /**
   * Says how loading ended: a file that is no model (`bad_model_file`) does not stay in the store. After an error,
   * `close` first.
   */
  settle?(error?: WinnowError): Promise<void>;
}

/**
 * Finds the model and starts to fetch it if it must be fetched. A named model comes from the store,
 * else from models/ next to the page, else from the hub.
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
  const near = `models/${entry.url.file}`;
  const local = baseOf(options) === undefined ? [] : [absolute(near, options)];
  return fromUrls([...local, hubUrl(entry.url)], entry.name, entry, options);
}

/** The registered model that came as a file or from another address, if it is one: its bytes tell. */
export async function registeredAs({
  source,
  verified,
}: Pick<ResolvedModel, "source" | "verified">): Promise<ModelEntry | undefined> {
  const candidate = MODELS.find(
    ({ bytes, sha256 }) => sha256 !== undefined && bytes === source.size,
  );
  if (!candidate) return undefined;
  return (await verified()).sha256 === candidate.sha256 ? candidate : undefined;
}

/** Most models are one file: what reads the others comes when it is needed. */
const severalFiles = () => loadLater("models of several files", () => import("./resolve-parts.ts"));

/** Anything with a slash or a colon, or ending in .gguf, is an address; names have none of them. */
export const isAddress = (model: string): boolean => /[/\\:]|\.(gguf|safetensors)$/i.test(model);

const isList = (model: ModelSource): model is readonly Blob[] => Array.isArray(model);

function checkFiles(files: readonly unknown[]): readonly Blob[] {
  if (files.length > 0 && files.every(isBlob)) return files;
  throw invalidArgument("model", "a list must hold Files or Blobs, one at least");
}

/** The page; in a worker that was not told of one, its origin, where it has one (one of Deno has none: "null"). */
function baseOf({ baseUrl }: ResolveOptions): string | undefined {
  const base = baseUrl ?? globalThis.document?.baseURI ?? globalThis.location?.origin;
  return base !== undefined && URL.canParse("model.gguf", base) ? base : undefined;
}

/** An address that nothing makes absolute: where there is no page, it is a path of the disk. */
export const isPath = (address: string, options: ResolveOptions): boolean =>
  !URL.canParse(address) && baseOf(options) === undefined;

/** An absolute address needs no base. */
export function absolute(address: string, options: ResolveOptions): string {
  if (URL.canParse(address)) return new URL(address).href;
  const base = baseOf(options);
  if (base !== undefined && URL.canParse(address, base)) return new URL(address, base).href;
  throw new WinnowError("invalid_argument", `model: "${address}" is not a valid address`, {
    hint: base === undefined ? "There is no page here: give an absolute URL." : "Give a valid URL.",
    details: { field: "model" },
  });
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
  (await loadLater("hashes", () => import("../sha256-stream.ts"))).sha256OfSource(...of);

/** Says that a model's bytes were taken as they came. */
const unchecked = (name: string, url: string): string =>
  hubFileOf(url)
    ? `${name}: huggingface.co could not be asked what the file must be, so its bytes were not checked`
    : `${name}: no hash of the file is known, so what ${new URL(url).host} sent was not checked`;

/** Says that the model is fetched again the next time. */
const unkept = (name: string): string =>
  `${name}: this browser keeps no files for this page (a private window does not), so it is in memory alone and fetched again the next time`;

/** What lives no longer than the page has no place in a store that does. */
const isLasting = (url: string): boolean => !/^(blob|data):/i.test(url);

/** The first address that has the model; the last one's error if none has. */
async function fromUrls(
  urls: readonly string[],
  name: string,
  entry: ModelEntry | undefined,
  options: ResolveOptions,
): Promise<ResolvedModel> {
  const kept = options.store ?? (await openModelStore());
  const sha256 = entry?.sha256;
  const known = entry === undefined || sha256 === undefined ? {} : { sha256, bytes: entry.bytes };
  for (const [i, url] of urls.entries()) {
    const store = isLasting(url) ? kept : await memoryStore();
    const shared = { ...options, store, model: entry?.name ?? url };
    let started: Omit<ResolvedModel, "name"> & { checked: boolean };
    try {
      started = isParted(url)
        ? await (await severalFiles()).partsFromUrl(url, shared)
        : fromDownload(await download(url, { ...shared, ...known }));
    } catch (thrown) {
      const error = asWinnowError(thrown);
      if (error.code === "aborted" || i === urls.length - 1) throw error;
      continue;
    }
    const { checked, notices = [], ...model } = started;
    // Nobody but the user could say what should lie at an address that the user named.
    const doubted = !checked && (entry !== undefined || hubFileOf(url));
    const all = [
      ...notices,
      ...(doubted ? [unchecked(name, url)] : []),
      ...(isLasting(url) && options.store === undefined && !kept.persistent ? [unkept(name)] : []),
    ];
    return {
      ...model,
      name,
      ...defined({ entry }),
      ...(all.length === 0 ? {} : { notices: all }),
    };
  }
  throw new WinnowError("internal", "no address to load the model from");
}

function fromDownload({ done, ...model }: Download) {
  return { ...model, verified: () => done };
}
