import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { WinnowError } from "../errors.ts";
import { findModel } from "./model-registry.ts";
import { NodeFileSource } from "./node-source.ts";
import { NodeStore } from "./node-store.ts";
import {
  type ModelSource,
  type ResolvedModel,
  type ResolveOptions,
  resolveModel,
} from "./resolve-model.ts";
import { sha256OfSource } from "./sha256.ts";

/** Where `npm start` puts the default model, relative to the working directory. */
const PROJECT_CACHE = join(".cache", "models");

export interface NodeResolveOptions extends ResolveOptions {
  /** Where downloads are kept. Default: WINNOW_CACHE, else ~/.cache/winnow/models. */
  readonly cacheFolder?: string;
}

const defaultFolder = (): string =>
  process.env.WINNOW_CACHE ?? join(homedir(), ".cache", "winnow", "models");

/**
 * `resolveModel` for Node: a path is read from disk; a name comes from ./.cache/models or the cache
 * folder if it is there, else from the hub; URLs and hub files are kept in the cache folder.
 */
export async function resolveModelInNode(
  model: ModelSource,
  options: NodeResolveOptions = {},
): Promise<ResolvedModel> {
  const { cacheFolder = defaultFolder(), ...rest } = options;
  const isUrl = typeof model === "string" && /^https?:\/\//i.test(model);
  if (typeof model === "string" && !isUrl) {
    if (/[/\\]|\.gguf$/i.test(model)) return fromPath(model, model, options);
    const entry = model === "" ? undefined : findModel(model, options.models);
    const path = entry && join(PROJECT_CACHE, basename(entry.local));
    if (path !== undefined && existsSync(path)) {
      const { sha256, filters } = entry!;
      const found = await fromPath(path, model, options, sha256);
      return { ...found, entry: entry!, sha256, ...(filters === undefined ? {} : { filters }) };
    }
  }
  return resolveModel(model, { store: new NodeStore(cacheFolder), ...rest });
}

/** @throws WinnowError `model_not_found`; `verified()`: `bad_model_file` for another hash. */
async function fromPath(
  path: string,
  name: string,
  { onProgress, signal }: ResolveOptions,
  expected?: string,
): Promise<ResolvedModel> {
  const source = await NodeFileSource.open(path);
  let hash: Promise<string> | undefined;
  return {
    source,
    name,
    async verified() {
      hash ??= sha256OfSource(
        source,
        (loaded, total) => onProgress?.("verify", loaded, total),
        signal,
      );
      const sha256 = await hash;
      if (expected !== undefined && sha256 !== expected)
        throw new WinnowError(
          "bad_model_file",
          `${path}: its SHA-256 is ${sha256}, not ${expected}`,
          {
            hint: "Delete the file and get it again.",
            details: { field: "sha256", offset: 0, path },
          },
        );
      return { sha256 };
    },
  };
}
