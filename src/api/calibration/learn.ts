import type { WireCalibrateOptions } from "../protocol.ts";
import type { CalibrateProgress, CalibrationResult } from "../types.ts";
import type { OpenedEngine } from "../worker/opened-engine.ts";
import { calibrateEngine } from "./calibrate-engine.ts";

export interface LearnHooks {
  readonly onProgress: (value: CalibrateProgress) => void;
  readonly signal: AbortSignal;
  /** Awaited between two steps of any kind. */
  readonly pause?: () => Promise<void>;
}

/** Calibrates a loaded model, puts the result in use and keeps it. Throws as `calibrateEngine`. */
export async function learn(
  { engine, sha256, keepCalibration }: OpenedEngine,
  { keep = true, ...options }: WireCalibrateOptions,
  hooks: LearnHooks,
): Promise<CalibrationResult> {
  const made = await calibrateEngine(engine, { ...options, ...hooks, modelSha256: sha256 });
  hooks.onProgress({ stage: "install", loaded: 0, total: 1 });
  await hooks.pause?.();
  await engine.install(made.file);
  hooks.onProgress({ stage: "install", loaded: 1, total: 1 });
  const kept = keep && (await keepCalibration(made.file));
  const { layers, kvHeads, headDim, samples, tokens, explained, file } = made;
  return { layers, kvHeads, headDim, samples, tokens, explained, file, kept };
}
