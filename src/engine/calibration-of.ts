import type { Calibration } from "../cache/filters-file.ts";
import { loadLater } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";

/** As `loadCalibration`, whose code is loaded where a model has filters. */
export async function calibrationOf(
  bytes: Uint8Array,
  config: ModelConfig,
  modelSha256?: string,
): Promise<Calibration> {
  const code = await loadLater("filters", () => import("./load-filters.ts"));
  return code.loadCalibration(bytes, config, modelSha256);
}
