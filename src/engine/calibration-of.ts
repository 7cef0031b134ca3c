import { loadLater } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import type { LoadedCalibration } from "./load-filters.ts";

/** As `loadCalibration`, whose code is loaded where a model has filters. */
export async function calibrationOf(
  bytes: Uint8Array,
  config: ModelConfig,
  modelSha256?: string,
): Promise<LoadedCalibration> {
  const code = await loadLater("filters", () => import("./load-filters.ts"));
  return code.loadCalibration(bytes, config, modelSha256);
}
