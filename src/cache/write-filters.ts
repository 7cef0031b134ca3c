import type { SafetensorsTensor } from "../formats/checkpoint/safetensors.ts";
import { writeSafetensors } from "../formats/checkpoint/write-safetensors.ts";
import {
  type Calibration,
  type Filters,
  HEAD_LOSS,
  type HeadLoss,
  PLAIN,
  REREAD_LOSS,
  STATISTICS,
  TENSOR,
} from "./filters-file.ts";

/**
 * The version of the metadata that we write; published files have none. Version 1 had filters alone, version 2 the mean query of
 * a whole group and no fitted score: both can be read, and policies do without what is missing.
 */
const VERSION = "3";

/** A safetensors file with one tensor `q_filters` [L, G, D] F32; the inverse of `readFilters`. */
export const writeFilters = (filters: Filters): Uint8Array<ArrayBuffer> =>
  writeCalibration({ filters, statistics: {} });

/** The file as bytes: `q_filters`, a tensor for each statistic that is there, and metadata. */
export function writeCalibration(calibration: Calibration): Uint8Array<ArrayBuffer> {
  const { filters, statistics } = calibration;
  const { values, layers, kvHeads, headDim } = filters;
  const tensors: Record<string, SafetensorsTensor> = {};
  const put = (name: string, sizes: readonly number[], data: Float32Array): void => {
    tensors[name] = { dtype: "F32", shape: [layers, kvHeads, ...sizes], values: data };
  };
  put(TENSOR, [headDim], values);
  for (const key of PLAIN) {
    const data = statistics[key];
    const { tensor, sizes } = STATISTICS[key];
    if (data) put(tensor, sizes(headDim, data.length / values.length), data);
  }
  const metadata: Record<string, string> = { version: VERSION };
  const putLoss = (name: string, { budgets, values: loss }: HeadLoss): void => {
    put(name, [budgets.length], loss);
    metadata[`${name}_budgets`] = budgets.join(" ");
  };
  const { headLoss } = statistics;
  if (headLoss) putLoss(HEAD_LOSS, headLoss);
  if (headLoss?.reread) putLoss(REREAD_LOSS, headLoss.reread);
  if (filters.modelSha256) metadata.model_sha256 = filters.modelSha256;
  if (filters.modelName) metadata.model_name = filters.modelName;
  if (filters.textsSha256) metadata.texts_sha256 = filters.textsSha256.join(" ");
  if (filters.samples !== undefined) metadata.samples = String(filters.samples);
  if (filters.seed !== undefined) metadata.seed = String(filters.seed);
  return writeSafetensors({ metadata, tensors });
}
