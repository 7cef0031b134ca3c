import { invalidArgument } from "../errors.ts";
import {
  checkFunction,
  checkHooks,
  checkNames,
  checkNumber,
  checkOneOf,
  checkRecord,
  checkString,
  describe,
} from "./check.ts";
import type { CacheOptions, EngineOptions, ModelSource } from "./types.ts";
import { checkCacheOptions } from "./validate-cache.ts";
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
  "onProgress",
  "signal",
];

export type CheckedEngineOptions = EngineOptions & { cache: CacheOptions };

/** Checks the argument of createEngine. */
export function checkEngineOptions(value: unknown): CheckedEngineOptions {
  const given = checkRecord("options", value);
  checkNames("", given, ENGINE_FIELDS, {
    budget: "belongs in cache: createEngine({ cache: { budget } })",
    policy: "belongs in cache: createEngine({ cache: { policy } })",
  });
  const checked: CheckedEngineOptions = {
    model: checkModel(given.model),
    cache: given.cache === undefined ? {} : checkCacheOptions(given.cache),
  };
  if (given.filters !== undefined) checked.filters = checkFilters(given.filters);
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
  if (given.tokenizer !== undefined) checked.tokenizer = checkTokenizer(given.tokenizer);
  return { ...checked, ...checkHooks<NonNullable<EngineOptions["onProgress"]>>(given) };
}

function checkModel(value: unknown): ModelSource {
  if (typeof value === "string") return checkString("model", value);
  if (value instanceof Blob) return value;
  if (Array.isArray(value) && value.length > 0 && value.every((file) => file instanceof Blob))
    return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalidArgument(
      "model",
      `must be a name, a URL, a File or Blob, or { repo, file }, not ${describe(value)}`,
      'For example createEngine({ model: "smollm2-135m-instruct" }).',
    );
  }
  const given = value as Record<string, unknown>;
  checkNames("model", given, ["repo", "file", "revision"]);
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

function checkFilters(value: unknown): string | ArrayBuffer | Uint8Array {
  if (value instanceof ArrayBuffer || value instanceof Uint8Array) return value;
  if (typeof value !== "string" || value === "") {
    throw invalidArgument(
      "filters",
      `must be a URL or the bytes of a safetensors file, not ${describe(value)}`,
    );
  }
  return value;
}

function checkTokenizer(value: unknown): NonNullable<EngineOptions["tokenizer"]> {
  const given = value as NonNullable<EngineOptions["tokenizer"]> | null;
  if (typeof given?.encode !== "function" || typeof given.decode !== "function") {
    throw invalidArgument(
      "tokenizer",
      `must have encode and decode, as ${describe(value)} has not`,
    );
  }
  return given;
}
