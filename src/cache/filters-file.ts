import { WinnowError } from "../errors.ts";
import { readSafetensors, writeSafetensors } from "../formats/safetensors.ts";

/** The tensor's name in published files (`nthngdy/<model>_qfilt`). */
const TENSOR = "q_filters";
/** Of the metadata we write; published files have none. */
const VERSION = "1";

/** Q-Filters of one model, as a file holds them. */
export interface Filters {
  /** [L, G, D], D in transformers' half-split order, the published sign: score = -(k . f). */
  readonly values: Float32Array;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Of the model file they were calibrated on. */
  readonly modelSha256?: string;
  /** Of each text they were calibrated on, in order. */
  readonly textsSha256?: readonly string[];
  /** Queries a head. */
  readonly samples?: number;
}

/** What a model needs of its filters. */
export interface FilterShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Refuses filters that name another model file; filters that name none pass. */
  readonly modelSha256?: string;
}

const badFilters = (message: string, details: Record<string, unknown>): WinnowError =>
  new WinnowError("bad_filters", message, {
    hint: "Use the filters made for this model, or make them: winnow calibrate.",
    details,
  });

/** A safetensors file with one tensor `q_filters` [L, G, D] F32; the inverse of `readFilters`. */
export function writeFilters(filters: Filters): Uint8Array<ArrayBuffer> {
  const { values, layers, kvHeads, headDim } = filters;
  const metadata: Record<string, string> = { version: VERSION };
  if (filters.modelSha256) metadata.model_sha256 = filters.modelSha256;
  if (filters.textsSha256) metadata.texts_sha256 = filters.textsSha256.join(" ");
  if (filters.samples !== undefined) metadata.samples = String(filters.samples);
  const shape = [layers, kvHeads, headDim];
  return writeSafetensors({ metadata, tensors: { [TENSOR]: { dtype: "F32", shape, values } } });
}

/**
 * Reads filters, ours or published ones. `name` is for messages.
 * @throws bad_filters where the file is damaged, or has no `q_filters` of three dimensions
 */
export function readFilters(bytes: Uint8Array, name = "filters"): Filters {
  const { metadata, tensors } = readSafetensors(bytes, { name, errorCode: "bad_filters" });
  const tensor = tensors.get(TENSOR);
  if (!tensor)
    throw badFilters(
      `${name}: no tensor ${TENSOR}; found ${[...tensors.keys()].join(", ") || "none"}`,
      { field: TENSOR, found: [...tensors.keys()] },
    );
  if (tensor.shape.length !== 3)
    throw badFilters(
      `${name}: ${TENSOR} has shape [${tensor.shape.join(", ")}], expected [layers, kv heads, head size]`,
      { field: TENSOR, found: tensor.shape },
    );
  const [layers, kvHeads, headDim] = tensor.shape as [number, number, number];
  const modelSha256 = metadata.get("model_sha256");
  const texts = metadata.get("texts_sha256");
  const samples = Number(metadata.get("samples") ?? Number.NaN);
  return {
    values: tensor.values,
    layers,
    kvHeads,
    headDim,
    ...(modelSha256 ? { modelSha256 } : {}),
    ...(texts ? { textsSha256: texts.split(" ") } : {}),
    ...(Number.isFinite(samples) ? { samples } : {}),
  };
}

function checkValues({ values, kvHeads, headDim }: Filters): void {
  for (let at = 0; at < values.length; at += headDim) {
    const filter = values.subarray(at, at + headDim);
    const where = `layer ${Math.floor(at / headDim / kvHeads)}, kv head ${(at / headDim) % kvHeads}`;
    if (!filter.every(Number.isFinite))
      throw badFilters(`${TENSOR} of ${where}: holds values that are not finite`, {
        field: TENSOR,
      });
    if (filter.every((x) => x === 0))
      throw badFilters(`${TENSOR} of ${where}: is all zero, so every key would score alike`, {
        field: TENSOR,
      });
  }
}

/**
 * Refuses filters that do not fit the model.
 * @throws bad_filters, saying what was found and what was expected
 */
export function validateFilters(filters: Filters, expected: FilterShape): void {
  const found = [filters.layers, filters.kvHeads, filters.headDim];
  const wanted = [expected.layers, expected.kvHeads, expected.headDim];
  if (found.some((size, i) => size !== wanted[i]) || filters.values.length !== product(wanted))
    throw badFilters(
      `${TENSOR} [layers, kv heads, head size]: found [${found.join(", ")}] with ${filters.values.length} values, the model needs [${wanted.join(", ")}]`,
      { field: TENSOR, found, expected: wanted },
    );
  if (expected.modelSha256 && filters.modelSha256 && filters.modelSha256 !== expected.modelSha256)
    throw badFilters(
      `filters belong to another model file: found model_sha256 ${filters.modelSha256}, expected ${expected.modelSha256}`,
      { field: "model_sha256", found: filters.modelSha256, expected: expected.modelSha256 },
    );
  checkValues(filters);
}

const product = (sizes: readonly number[]) => sizes.reduce((all, size) => all * size, 1);
