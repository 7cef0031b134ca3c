import { invalidArgument } from "../../errors.ts";
import { isBlob } from "../../formats/blob-source.ts";
import type { CacheOptions, DownloadOptions, EngineOptions, ModelSource } from "../types.ts";
import {
  checkFunction,
  checkHooks,
  checkNumber,
  checkOneOf,
  checkString,
  copyBytes,
  describe,
  readFields,
  reading,
} from "./check.ts";
import { readCacheOptions } from "./validate-cache.ts";
import { SPECULATIVE } from "./validate-request.ts";

const ENGINE_FIELDS = [
  "model",
  "cache",
  "filters",
  "memoryLimit",
  "speculative",
  "tuning",
  "calibrate",
  "onCalibration",
  "tokenizer",
  "worker",
  "download",
  // Checked by what has a server answer, which is loaded for that.
  "mode",
  "remote",
  "onProgress",
  "signal",
];

export type CheckedEngineOptions = Omit<EngineOptions, "filters" | "mode" | "remote"> & {
  cache: CacheOptions;
  filters?: string | Uint8Array;
};

/** Checks the argument of createEngine. */
export function checkEngineOptions(value: unknown): CheckedEngineOptions {
  const given = readFields("options", value, ENGINE_FIELDS, {
    path: "",
    reasons: {
      budget: "belongs in cache: createEngine({ cache: { budget } })",
      policy: "belongs in cache: createEngine({ cache: { policy } })",
    },
  });
  const checked: CheckedEngineOptions = {
    model: reading("model", () => checkModel(given.model)),
    cache: given.cache === undefined ? {} : readCacheOptions(given.cache),
  };
  if (given.filters !== undefined)
    checked.filters = reading("filters", () => checkFilters(given.filters));
  if (given.memoryLimit !== undefined) {
    const range = { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true };
    checked.memoryLimit = checkNumber("memoryLimit", given.memoryLimit, range);
  }
  if (given.speculative !== undefined)
    checked.speculative = checkOneOf("speculative", given.speculative, SPECULATIVE);
  if (given.tuning !== undefined)
    checked.tuning = checkOneOf("tuning", given.tuning, ["off", "fast", "full"] as const);
  if (given.calibrate !== undefined)
    checked.calibrate = checkOneOf("calibrate", given.calibrate, ["auto", "off"] as const);
  if (given.onCalibration !== undefined) {
    checkFunction("onCalibration", given.onCalibration);
    checked.onCalibration = given.onCalibration as NonNullable<EngineOptions["onCalibration"]>;
  }
  if (given.tokenizer !== undefined)
    checked.tokenizer = reading("tokenizer", () => checkTokenizer(given.tokenizer));
  if (given.worker !== undefined) {
    if (checked.tokenizer)
      throw invalidArgument("worker", "does not go with tokenizer, which keeps the engine here");
    checked.worker = reading("worker", () => checkWorker(given.worker));
  }
  if (given.download !== undefined) checked.download = checkDownload(given.download);
  return { ...checked, ...checkHooks<NonNullable<EngineOptions["onProgress"]>>(given) };
}

/** A model as it is named to createEngine. */
export function checkModel(value: unknown): ModelSource {
  if (typeof value === "string") return checkString("model", value);
  if (isBlob(value)) return value;
  const files = filesOf(value);
  if (files) return files;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidArgument(
      "model",
      `must be a name, a URL, a File or Blob, or { repo, file }, not ${describe(value)}`,
      'For example createEngine({ model: "smollm2-135m-instruct" }).',
    );
  }
  const given = readFields("model", value, ["repo", "file", "revision"]);
  const source = {
    repo: checkString("model.repo", given.repo),
    file: checkString("model.file", given.file),
  };
  if (!/^[\w.-]+\/[\w.-]+$/.test(source.repo)) {
    throw invalidArgument("model.repo", `must be "owner/name", not ${describe(source.repo)}`);
  }
  return given.revision === undefined
    ? source
    : { ...source, revision: checkString("model.revision", given.revision) };
}

/** An array or a FileList of Files or Blobs, one at least. */
function filesOf(value: unknown): readonly Blob[] | undefined {
  if (typeof value !== "object" || value === null || !("length" in value)) return undefined;
  const files = Array.from(value as ArrayLike<unknown>);
  return files.length > 0 && files.every(isBlob) ? files : undefined;
}

function checkFilters(value: unknown): string | Uint8Array {
  const bytes = copyBytes(value);
  if (bytes) return bytes;
  if (typeof value !== "string" || value === "") {
    throw invalidArgument(
      "filters",
      `must be a URL or the bytes of a safetensors file, not ${describe(value)}`,
    );
  }
  return value;
}

function checkDownload(value: unknown): DownloadOptions {
  const given = readFields("download", value, ["retries", "silence"]);
  const checked: DownloadOptions = {};
  const retries = { min: 0, max: 1000, integer: true };
  if (given.retries !== undefined)
    checked.retries = checkNumber("download.retries", given.retries, retries);
  if (given.silence !== undefined)
    checked.silence = checkNumber("download.silence", given.silence, { min: 0.001, max: 86_400 });
  return checked;
}

function checkTokenizer(value: unknown): NonNullable<EngineOptions["tokenizer"]> {
  const given = value as NonNullable<EngineOptions["tokenizer"]>;
  if (typeof given.encode !== "function" || typeof given.decode !== "function") {
    throw invalidArgument(
      "tokenizer",
      `must have encode and decode, as ${describe(value)} has not`,
    );
  }
  return given;
}

function checkWorker(value: unknown): NonNullable<EngineOptions["worker"]> {
  const given = value as Worker | null;
  if (typeof value !== "function" && typeof given?.postMessage !== "function")
    throw invalidArgument(
      "worker",
      `must be a Worker or a function that makes one, not ${describe(value)}`,
    );
  return value as NonNullable<EngineOptions["worker"]>;
}
