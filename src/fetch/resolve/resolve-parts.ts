/** Models of several files, which most are not: a GGUF in parts, or a safetensors checkpoint with its JSON files. */
import { asWinnowError, WinnowError } from "../../errors.ts";
import { BlobSource } from "../../formats/blob-source.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import {
  type SafetensorsFiles,
  SafetensorsModel,
} from "../../formats/checkpoint/safetensors-model.ts";
import { JoinedSource, orderParts } from "../../formats/gguf/gguf-split.ts";
import { isSafetensors, partNames } from "../../formats/part-names.ts";
import { fileNameOf } from "../addresses.ts";
import { download } from "../download.ts";
import { sha256Of } from "../sha256.ts";
import { sha256OfSource } from "../sha256-stream.ts";
import { askHub, type Download, type DownloadOptions } from "../stored-copy.ts";

export interface PartedModel {
  readonly source: ByteSource;
  readonly name: string;
  /** False where nothing says what the bytes of some part must be. */
  readonly checked: boolean;
  /** Notices about all parts. */
  readonly notices?: readonly string[];
  /** The hash of all parts' hashes, one per line in their order. */
  verified(): Promise<{ sha256: string }>;
  /** The same as in ResolvedModel; the part that an error names does not stay. */
  close?(): Promise<void>;
  settle?(error?: WinnowError): Promise<void>;
}

const INDEX = "model.safetensors.index.json";
const TEMPLATE = "chat_template.jinja";
/** Files that not every checkpoint has. */
const GENERATION = "generation_config.json";
const OPTIONAL: readonly string[] = [INDEX, "tokenizer_config.json", GENERATION, TEMPLATE];

/**
 * Fetches every part as a single file is fetched: stored, resumed and hashed by itself.
 * @throws as `download`; a part that is not there is named in the message and in details.url.
 */
export async function partsFromUrl(url: string, options: DownloadOptions): Promise<PartedModel> {
  const fetcher = new PartFetcher(options);
  try {
    return isSafetensors(url) ? await checkpointFrom(url, fetcher) : await ggufFrom(url, fetcher);
  } catch (thrown) {
    // What the other parts have so far is kept by their own downloads.
    await fetcher.close();
    await fetcher.settle(asWinnowError(thrown));
    throw thrown;
  }
}

/** Files of one model, in any order. @throws bad_model_file naming a part that is missing. */
export async function partsFromFiles(
  files: readonly ByteSource[],
  hooks: Pick<DownloadOptions, "onProgress" | "signal"> = {},
): Promise<PartedModel> {
  const weights = files.filter(({ name }) => name.toLowerCase().endsWith(".safetensors"));
  let source: ByteSource;
  let hashed: readonly ByteSource[];
  if (weights.length > 0) {
    const named = (name: string) => files.find((file) => file.name === name);
    source = await openCheckpoint(weights, (name) => Promise.resolve(named(name)));
    hashed = weights;
  } else {
    hashed = orderParts(files);
    source = new JoinedSource(hashed);
  }
  let hash: Promise<string> | undefined;
  const total = hashed.reduce((sum, { size }) => sum + size, 0);
  const compute = async (): Promise<string> => {
    const hashes: string[] = [];
    let before = 0;
    for (const file of hashed) {
      const report = (loaded: number) => hooks.onProgress?.("verify", before + loaded, total);
      hashes.push(await sha256OfSource(file, report, hooks.signal));
      before += file.size;
    }
    return sha256Of(hashes.join("\n"));
  };
  return {
    source,
    name: source.name,
    checked: true,
    async verified() {
      hash ??= compute();
      return { sha256: await hash };
    },
  };
}

export const blobSources = (files: readonly Blob[]): BlobSource[] =>
  files.map((file) => new BlobSource(file));

async function ggufFrom(url: string, fetcher: PartFetcher): Promise<PartedModel> {
  const parts = await Promise.all(partNames(url).map((part) => fetcher.start(part)));
  return fetcher.model(new JoinedSource(parts), fileNameOf(url));
}

async function checkpointFrom(url: string, fetcher: PartFetcher): Promise<PartedModel> {
  const [, folder = "", query = ""] = /^([^?#]*\/)[^/?#]*(.*)$/.exec(url) ?? [];
  const at = (name: string): string => `${folder}${name}${query}`;
  const optional = async (name: string): Promise<ByteSource | undefined> => {
    if (name === INDEX && fileNameOf(url) === "model.safetensors") return undefined;
    try {
      return await fetcher.start(at(name));
    } catch (error) {
      const missing = error instanceof WinnowError && error.code === "model_not_found";
      if (missing && OPTIONAL.includes(name)) return undefined;
      throw error;
    }
  };
  const index = await optional(INDEX);
  const names = index ? shardNames(await readJson(index)) : [fileNameOf(url)];
  const weights = await Promise.all(names.map((name) => fetcher.start(at(name))));
  const source = await openCheckpoint(weights, (name) =>
    name === INDEX ? Promise.resolve(index) : optional(name),
  );
  return fetcher.model(source, source.name);
}

function shardNames(index: unknown): string[] {
  const map = (index as { weight_map?: unknown } | null)?.weight_map;
  const names = typeof map === "object" && map !== null ? Object.values(map) : [];
  const sound = names.every((name) => typeof name === "string" && /^[\w.-]+$/.test(name));
  if (names.length === 0 || !sound) throw damaged(INDEX, "weight_map names no files");
  return [...new Set(names as string[])].sort();
}

async function openCheckpoint(
  weights: readonly ByteSource[],
  find: (name: string) => Promise<ByteSource | undefined>,
): Promise<SafetensorsModel> {
  const need = async (name: string): Promise<unknown> => {
    const file = await find(name);
    if (file === undefined) throw damaged(name, "the file is missing beside the weights");
    return readJson(file);
  };
  const [index, tokenizerConfig, generation] = await Promise.all(
    [INDEX, "tokenizer_config.json", GENERATION].map(find),
  );
  const config = (await need("config.json")) as SafetensorsFiles["config"];
  const tokenizer = await need("tokenizer.json");
  const texts: Record<string, unknown> = tokenizerConfig ? await readObject(tokenizerConfig) : {};
  // Newer checkpoints keep the template in a file of its own.
  const template = texts.chat_template === undefined ? await find(TEMPLATE) : undefined;
  if (template) texts.chat_template = await readText(template);
  return SafetensorsModel.open({
    weights,
    config,
    tokenizer,
    ...(index ? { index: (await readJson(index)) as { weight_map?: Record<string, string> } } : {}),
    tokenizerConfig: texts,
    ...(generation ? { generationConfig: await readJson(generation) } : {}),
  });
}

const readText = async (file: ByteSource): Promise<string> =>
  new TextDecoder().decode(await file.read(0, file.size));

async function readObject(file: ByteSource): Promise<Record<string, unknown>> {
  const value = await readJson(file);
  if (typeof value !== "object" || value === null) throw damaged(file.name, "is not an object");
  return { ...value };
}

async function readJson(file: ByteSource): Promise<unknown> {
  const text = await readText(file);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw damaged(file.name, `is not JSON (${(cause as Error).message})`);
  }
}

const damaged = (file: string, problem: string): WinnowError =>
  new WinnowError("bad_model_file", `${file}: ${problem}`, {
    hint: "Take weights, config.json and tokenizer.json from one repository.",
    details: { file, part: file },
  });

/** Downloads that report as one and stop together. */
class PartFetcher {
  readonly #options: DownloadOptions;
  readonly #abort = new AbortController();
  /** In the order of the parts, not of the answers. */
  readonly #downloads: Promise<Download>[] = [];
  #checked = true;
  readonly #notices: string[] = [];
  readonly #progress = new Map<string, { loaded: number; total: number }>();

  constructor(options: DownloadOptions) {
    // Asked once, so that all parts come from one commit.
    this.#options = { hub: askHub(options), ...options };
    if (options.signal?.aborted) this.stop();
    options.signal?.addEventListener("abort", () => this.stop(), { once: true });
  }

  async start(url: string): Promise<ByteSource> {
    const { sha256: _hash, bytes: _bytes, ...shared } = this.#options;
    const starting = download(url, {
      ...shared,
      signal: this.#abort.signal,
      onProgress: (stage, loaded, total, waiting) => {
        this.#progress.set(url, { loaded, total });
        let [allLoaded, all] = [0, 0];
        for (const one of this.#progress.values()) {
          allLoaded += one.loaded;
          all += one.total;
        }
        this.#options.onProgress?.(stage, allLoaded, all, waiting);
      },
    });
    this.#downloads.push(starting);
    const started = await starting.catch((error: unknown) => {
      // Some files may be missing; the caller decides.
      this.#downloads.splice(this.#downloads.indexOf(starting), 1);
      throw error;
    });
    // A part that breaks off is reported by done().
    started.done.catch(() => {});
    this.#checked &&= started.checked;
    this.#notices.push(...started.notices);
    return started.source;
  }

  /** The parts that were fetched, as one model. */
  model(source: ByteSource, name: string): PartedModel {
    return {
      source,
      name,
      checked: this.#checked,
      notices: this.#notices,
      verified: () => this.#done(),
      close: () => this.close(),
      settle: (error) => this.settle(error),
    };
  }

  /** Stops what is under way. */
  async close(): Promise<void> {
    this.stop();
    await Promise.all((await this.#started()).map((download) => download.close()));
  }

  async settle(error?: WinnowError): Promise<void> {
    const part = error?.details.part ?? error?.details.file;
    for (const download of await this.#started())
      if (error === undefined || part === undefined || part === download.source.name)
        await download.settle(error);
  }

  async #started(): Promise<Download[]> {
    const settled = await Promise.allSettled(this.#downloads);
    return settled.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  }

  async #done(): Promise<{ sha256: string }> {
    try {
      const hashes = await Promise.all(
        this.#downloads.map(async (starting) => (await starting).done),
      );
      return { sha256: await sha256Of(hashes.map(({ sha256 }) => sha256).join("\n")) };
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  stop(): void {
    this.#abort.abort();
  }
}
