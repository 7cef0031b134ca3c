import { defined } from "../../defined.ts";
import { InferenceEngine } from "../../engine/engine.ts";
import { asWinnowError, WinnowError } from "../../errors.ts";
import type { HttpOptions } from "../../fetch/http.ts";
import type { CalibrationStore } from "../../fetch/store/calibration-store.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import type { TuningStore } from "../../model/tuning.ts";
import type { OnLoadProgress, WireEngineOptions } from "../protocol.ts";
import type { DownloadOptions, ExternalTokenizer } from "../types.ts";
import type { OpenedEngine } from "./opened-engine.ts";

/** A model whose bytes can be read, and a promise that they are the right ones. */
export interface ReadableModel {
  source: ByteSource;
  name: string;
  sha256?: string;
  /** Notices about where the model came from. */
  notices?: readonly string[];
  verified(): Promise<{ sha256: string }>;
  /**
   * Stops what is still on its way and gives up the source, where it holds something open. The engine reads it as long
   * as it lives.
   */
  close?(): Promise<void>;
  /** Says how loading ended; after an error, `close` comes first. */
  settle?(error?: WinnowError): Promise<void>;
}

/** Ends a model that was not loaded; a file that turned out to be none does not stay in the store. */
export async function giveUpModel(
  model: Pick<ReadableModel, "close" | "settle">,
  error: unknown,
): Promise<void> {
  await model.close?.();
  await model.settle?.(asWinnowError(error));
}

/** For requests to the model's server. */
export const httpOptions = ({ retries, silence }: DownloadOptions = {}): HttpOptions => ({
  ...(retries === undefined ? {} : { retries }),
  ...(silence === undefined ? {} : { silenceMs: silence * 1000 }),
});

export interface OpenInputs {
  gpu: GPU | undefined;
  model: ReadableModel;
  options: Pick<WireEngineOptions, "cache" | "memoryLimit" | "speculative" | "tuning">;
  /** The budget to begin with, of a model that is known by name. */
  budget?: number | undefined;
  filters: Uint8Array | undefined;
  tokenizer: ExternalTokenizer | undefined;
  /** Where calibrations are kept; undefined: nowhere. One that is kept goes before `ownFilters`. */
  calibrations?: CalibrationStore;
  /** Filters that come with the model, where the caller gave none. */
  ownFilters?: () => Promise<Uint8Array | undefined>;
  /** Where measured plans are kept. */
  tuningStore?: TuningStore;
  openFile: OpenedEngine["openFile"];
  onProgress: OnLoadProgress;
  signal: AbortSignal;
}

/** Loads the model onto the GPU as its bytes come, then waits for their verification. */
export async function openEngine(inputs: OpenInputs): Promise<OpenedEngine> {
  const { model } = inputs;
  let engine: InferenceEngine | undefined;
  const close = async (): Promise<void> => {
    await engine?.close();
    await model.close?.();
  };
  try {
    // A hash that fails while the upload still runs is reported by the await below.
    const verified = model.verified();
    verified.catch(() => {});
    const hash = async (): Promise<string> => model.sha256 ?? (await verified).sha256;
    const loaded = await loadKept(inputs, hash);
    engine = loaded.engine;
    const { sha256 } = await verified;
    engine.identify(sha256);
    await model.settle?.();
    const keepCalibration = async (file: Uint8Array): Promise<boolean> => {
      try {
        await inputs.calibrations?.save(model.source.size, sha256, file);
        return inputs.calibrations !== undefined;
      } catch {
        // Storage is full or refused: the calibration is in use all the same.
        return false;
      }
    };
    const { calibrations } = inputs;
    const bytes = model.source.size;
    const free = !loaded.calibrated && !(await calibrations?.refused(bytes, sha256));
    const refuse = async (): Promise<void> => {
      // Where nothing can be kept it is asked again at the next load.
      await calibrations?.refuse(bytes, sha256).catch(() => {});
    };
    return {
      engine,
      sha256,
      keepCalibration,
      ...(free ? { refuseCalibration: refuse } : {}),
      openFile: inputs.openFile,
      close,
    };
  } catch (error) {
    await engine?.close();
    await giveUpModel(model, error);
    throw error;
  }
}

const isBadFilters = (error: unknown): boolean =>
  error instanceof WinnowError && error.code === "bad_filters";

/**
 * With the caller's filters, a calibration that was kept, or the model's own filters, the first of them that there is.
 * A damaged calibration is forgotten, and own filters that are none are passed over.
 */
async function loadKept(
  inputs: OpenInputs,
  hash: () => Promise<string>,
): Promise<{ engine: InferenceEngine; calibrated: boolean }> {
  const { filters: given, calibrations, model } = inputs;
  const kept = given ? undefined : await calibrations?.find(model.source.size, hash);
  if (kept) {
    try {
      return { engine: await load({ ...inputs, filters: kept }), calibrated: true };
    } catch (error) {
      if (!isBadFilters(error)) throw error;
      // Where it cannot be removed it is passed over the next time too.
      await calibrations?.remove(model.source.size, await hash()).catch(() => false);
    }
  }
  const own = given ? undefined : await inputs.ownFilters?.();
  if (own) {
    try {
      return { engine: await load({ ...inputs, filters: own }), calibrated: true };
    } catch (error) {
      // The caller did not name them: something else lies at their address, as good as nothing.
      if (!isBadFilters(error)) throw error;
    }
  }
  return { engine: await load(inputs), calibrated: given !== undefined };
}

function load(inputs: OpenInputs): Promise<InferenceEngine> {
  const { gpu, model, options, budget, filters, tokenizer, tuningStore, onProgress, signal } =
    inputs;
  return InferenceEngine.load(gpu, {
    source: model.source,
    name: model.name,
    cache: options.cache,
    ...defined({ budget }),
    early: true,
    ...(options.tuning && { tuning: options.tuning }),
    ...(tuningStore && { tuningStore }),
    ...defined({ speculative: options.speculative }),
    onProgress,
    signal,
    ...defined({ sha256: model.sha256 }),
    ...(model.notices && { notices: model.notices }),
    ...defined({ filters, memoryLimit: options.memoryLimit, tokenizer }),
  });
}
