import type { Engine, EngineOptions, ModelSource } from "../../api/types.ts";
import { WinnowError } from "../../errors.ts";
import { isBlob } from "../../formats/blob-source.ts";
import { createEngine, listModels } from "../../index.ts";
import { type EngineMaker, givenEngine, SharedEngine } from "../shared-engine.ts";
import { WinnowLanguageModel } from "./language-model.ts";

/** Options of the engine, which is loaded when the model is first asked. */
export type WinnowSettings = Omit<EngineOptions, "model" | "signal">;

/** What a provider takes. */
export interface WinnowProviderSettings extends WinnowSettings {
  /** What makes engines. Default: `winnow-llm`; in Node all of `winnow-llm/node`. */
  from?: EngineMaker;
}

/** Makes language models. */
export interface WinnowProvider {
  /**
   * A model by what `createEngine` takes for one, or over an engine that is loaded. Nothing is loaded before it is asked;
   * models of the same source and settings share one engine, and callbacks are those of the first (`onProgress`: of all).
   */
  (model: ModelSource | Engine, settings?: WinnowSettings): WinnowLanguageModel;
  /** The specification that it follows. */
  readonly specificationVersion: "v4";
  /** The same as calling the provider. */
  languageModel(model: ModelSource | Engine, settings?: WinnowSettings): WinnowLanguageModel;
  /** The same as calling the provider. */
  chat(model: ModelSource | Engine, settings?: WinnowSettings): WinnowLanguageModel;
  /** Throws: there are no embeddings. */
  embeddingModel(modelId: string): never;
  /** Throws: there are no images. */
  imageModel(modelId: string): never;
}

interface Known {
  readonly model: ModelSource;
  readonly settings: WinnowSettings;
  readonly source: SharedEngine;
}

/**
 * A provider of the AI SDK. Settings hold for all its models, unless `winnow(model, settings)` says otherwise. In Node:
 * `import * as node from "winnow-llm/node"; createWinnow({ from: node })`.
 */
export function createWinnow(defaults: WinnowProviderSettings = {}): WinnowProvider {
  const { from: maker = { createEngine, listModels }, ...shared } = defaults;
  const known: Known[] = [];
  const sourceOf = (model: ModelSource, settings: WinnowSettings): SharedEngine => {
    const same = known.find((one) => equal(one.model, model) && equal(one.settings, settings));
    if (same) return same.source;
    const source = new SharedEngine({ ...settings, model }, maker.createEngine);
    known.push({ model, settings, source });
    return source;
  };
  const languageModel = (model: ModelSource | Engine, own?: WinnowSettings) => {
    if (isEngine(model)) {
      const { name } = model.info().model;
      return new WinnowLanguageModel(name, name, { source: givenEngine(model), maker });
    }
    const { onProgress, ...settings } = { ...shared, ...own };
    const source = sourceOf(model, settings);
    return new WinnowLanguageModel(idOf(model), model, { source, maker, onProgress });
  };
  return Object.assign(languageModel, {
    specificationVersion: "v4" as const,
    languageModel,
    chat: languageModel,
    embeddingModel: none("embedding"),
    imageModel: none("image"),
  });
}

const none =
  (kind: string) =>
  (modelId: string): never => {
    throw new WinnowError("unsupported_model", `"${modelId}" is asked for as an ${kind} model`, {
      hint: "Winnow has language models alone.",
    });
  };

const isEngine = (model: ModelSource | Engine): model is Engine =>
  typeof model === "object" && "chat" in model;

function idOf(model: ModelSource): string {
  if (typeof model === "string") return model;
  if (isBlob(model)) return (model as Partial<File>).name ?? "a file";
  if ("repo" in model) return `${model.repo}/${model.file}`;
  return idOf(model[0]!);
}

/** Whether two settings ask for the same: plain data by its values, functions always, all else (files, workers) by identity. */
function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b) || (typeof a === "function" && typeof b === "function")) return true;
  if (!isPlain(a) || !isPlain(b)) return false;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => equal(a[key], b[key]));
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;
