import type { InferenceEngine } from "../../engine/engine.ts";
import type { ByteSource } from "../../formats/byte-source.ts";
import type { OnLoadProgress, OwnFilters, WireEngineOptions } from "../protocol.ts";

/** A file that may have to be closed. */
export type OpenedFile = ByteSource & { close?(): Promise<void> };

/** An engine that is loaded and whose model's bytes are verified. */
export interface OpenedEngine {
  engine: InferenceEngine;
  /** Hash of all bytes of the model. */
  sha256: string;
  /** Keeps a calibration of this model for the next time; false where nothing can be kept. */
  keepCalibration(file: Uint8Array): Promise<boolean>;
  /** There for a model without filters, which may calibrate itself: says that the user does not want it. */
  refuseCalibration?: () => Promise<void>;
  /** A file by its address, relative to the page's; in Node also by its path. */
  openFile(address: string, signal: AbortSignal): Promise<OpenedFile>;
  /** Frees the engine and what it reads from. */
  close(): Promise<void>;
}

/** Checks the machine, finds the model and loads it. */
export type OpenEngine = (
  options: WireEngineOptions,
  onProgress: OnLoadProgress,
  signal: AbortSignal,
  ownFilters?: OwnFilters,
) => Promise<OpenedEngine>;
