import { defined } from "../defined.ts";
import { WinnowError } from "../errors.ts";
import { readSafetensors } from "../formats/checkpoint/safetensors.ts";

/** The tensor's name in published files (`nthngdy/<model>_qfilt`). */
export const TENSOR = "q_filters";
/** Q-Filters of one model, as a file holds them. */
export interface Filters {
  /** [L, G, D], D in transformers' half-split order, the published sign: score = -(k . f). */
  readonly values: Float32Array;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Hash of the model file that they were calibrated on. */
  readonly modelSha256?: string;
  /** That model's name, for people. */
  readonly modelName?: string;
  /** Hash of each text that they were calibrated on, in order. */
  readonly textsSha256?: readonly string[];
  /** Queries per head. */
  readonly samples?: number;
  /** Seed of the sampling. */
  readonly seed?: number;
}

/**
 * What a head's evictions cost at each budget, its best pairs by the fitted score kept: the mean length of the
 * error in the layer's output, as a part of the residual stream's length there.
 */
export interface HeadLoss {
  /** [B], pairs per kv head, ascending. */
  readonly budgets: readonly number[];
  /** [L, G, B] */
  readonly values: Float32Array;
  /** The same of what a second reading attends to: see `REREAD_LOSS`. */
  readonly reread?: HeadLoss;
}

/**
 * What policies other than Q-Filters know of a model's heads. Each is there or not: a published file has
 * none. Queries are those before RoPE (after a query norm), in half-split order, as many as `samples`.
 */
export interface HeadStatistics {
  /** [L, G, r, D]: mean query of each of the group's r heads, over the samples. */
  readonly queryMean?: Float32Array;
  /** [L, G, D/2]: mean length of the rotary pair (q[i], q[i + D/2]), over the group. */
  readonly queryAbs?: Float32Array;
  /** [L, G, D, D]: covariance of the group's queries about their mean, divided by their number. */
  readonly queryCovariance?: Float32Array;
  /** [L, G, 4]: a, b, mean, std of attention = exp(c + a (score - mean) / std + b ln(age + 1)). */
  readonly ageFit?: Float32Array;
  /** [L, G, 4]: mean and std of |k|, mean and std of ln |v|. */
  readonly keyValueNorms?: Float32Array;
  /**
   * [L, G, 8]: weights of the features of a pair, whose sum is the score, higher = keep: ln sum over the group's
   * heads of exp(k . mean future query / sqrt D); sum over rotary pairs of |k_j| (abs_j - |mean_j|) / sqrt D;
   * ln |v|; ln(age + 1); the cosine of k and the mean unit key; k . filter; |k|; the last is 0.
   */
  readonly scoreFit?: Float32Array;
  readonly headLoss?: HeadLoss;
}

/** A calibration file: filters, and what else was learned of the heads. */
export interface Calibration {
  readonly filters: Filters;
  readonly statistics: HeadStatistics;
}

/** The shape that a model's filters must have. */
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

/** Weights per head of the fitted score. */
export const SCORE_WEIGHTS = 8;

type Plain = Exclude<keyof HeadStatistics, "headLoss">;

/** Names in the file, and the sizes that follow [L, G]; r query heads per kv head. */
export const STATISTICS: Readonly<
  Record<Plain, { readonly tensor: string; readonly sizes: (d: number, r: number) => number[] }>
> = {
  queryMean: { tensor: "q_mean", sizes: (d, r) => [r, d] },
  queryAbs: { tensor: "q_abs", sizes: (d) => [d / 2] },
  queryCovariance: { tensor: "q_cov", sizes: (d) => [d, d] },
  ageFit: { tensor: "age_fit", sizes: () => [4] },
  keyValueNorms: { tensor: "k_stats", sizes: () => [4] },
  scoreFit: { tensor: "score_fit", sizes: () => [SCORE_WEIGHTS] },
};
export const PLAIN = Object.keys(STATISTICS) as Plain[];
export const HEAD_LOSS = "head_loss";
/**
 * [L, G, B]: of documents that are read twice, each pair scored by the most attention that a row of the second reading pays to it,
 * the root of the sum of the scores beyond a head's best pairs, as many as each budget. Squared, as errors are, it is a sum, whose
 * division among heads keeps the best pairs of all of them. The last budget is the documents' length.
 */
export const REREAD_LOSS = "reread_loss";

/**
 * Reads filters, ours or published ones. `name` is for messages.
 * @throws bad_filters where the file is damaged, or has no `q_filters` of three dimensions
 */
export const readFilters = (bytes: Uint8Array, name = "filters"): Filters =>
  readCalibration(bytes, name).filters;

/**
 * Reads a calibration file, ours or a published one, which has filters alone. Tensors of other names are
 * left alone. `name` is for messages.
 * @throws bad_filters where the file is damaged, has no `q_filters` of three dimensions, or a statistic
 * does not fit them
 */
export function readCalibration(bytes: Uint8Array, name = "filters"): Calibration {
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
  const take = (field: string, sizes: readonly number[]): Float32Array | undefined => {
    const found = tensors.get(field);
    if (!found) return undefined;
    const expected = [layers, kvHeads, ...sizes];
    if (String(found.shape) !== String(expected))
      throw badFilters(
        `${name}: ${field} has shape [${found.shape.join(", ")}], expected [${expected.join(", ")}]`,
        { field, found: found.shape, expected },
      );
    if (!found.values.every(Number.isFinite))
      throw badFilters(`${name}: ${field} holds values that are not finite`, { field });
    return found.values;
  };
  const statistics: { -readonly [K in keyof HeadStatistics]: HeadStatistics[K] } = {};
  for (const key of PLAIN) {
    const { tensor: field, sizes } = STATISTICS[key];
    const shape = tensors.get(field)?.shape;
    // Version 2 has one mean query for the whole group.
    const wanted =
      field === "q_mean" && shape?.length === 3 ? [headDim] : sizes(headDim, shape?.[2] ?? 1);
    const values = take(field, wanted);
    if (values) statistics[key] = values;
  }
  const lossOf = (field: string): HeadLoss | undefined => {
    const budgets = numbers(metadata.get(`${field}_budgets`));
    const values = take(field, [budgets.length]);
    return values && { budgets, values };
  };
  const [loss, reread] = [lossOf(HEAD_LOSS), lossOf(REREAD_LOSS)];
  if (loss) statistics.headLoss = { ...loss, ...(reread && { reread }) };
  const filters = { values: tensor.values, layers, kvHeads, headDim, ...provenance(metadata) };
  return { filters, statistics };
}

const numbers = (text: string | undefined): number[] =>
  text ? text.split(" ").map(Number).filter(Number.isFinite) : [];

type Provenance = Omit<Filters, "values" | "layers" | "kvHeads" | "headDim">;

function provenance(metadata: ReadonlyMap<string, string>): Provenance {
  const modelSha256 = metadata.get("model_sha256");
  const modelName = metadata.get("model_name");
  const texts = metadata.get("texts_sha256");
  const [samples] = numbers(metadata.get("samples"));
  const [seed] = numbers(metadata.get("seed"));
  return {
    ...(modelSha256 ? { modelSha256 } : {}),
    ...(modelName ? { modelName } : {}),
    ...(texts ? { textsSha256: texts.split(" ") } : {}),
    ...defined({ samples, seed }),
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

/**
 * A calibration of the layers that the budget governs, spread over all of a model's `layers`: entry i goes
 * to layer `targets[i]`, the others get zeros.
 */
export function spreadLayers(
  { filters, statistics }: Calibration,
  targets: readonly number[],
  layers: number,
): Calibration {
  const spread = (values: Float32Array): Float32Array => {
    const size = values.length / targets.length;
    const out = new Float32Array(layers * size);
    for (const [i, layer] of targets.entries())
      out.set(values.subarray(i * size, (i + 1) * size), layer * size);
    return out;
  };
  const wide: { -readonly [K in keyof HeadStatistics]: HeadStatistics[K] } = {};
  for (const key of PLAIN) {
    const values = statistics[key];
    if (values) wide[key] = spread(values);
  }
  const spreadLoss = ({ budgets, values, reread }: HeadLoss): HeadLoss => ({
    budgets,
    values: spread(values),
    ...(reread && { reread: spreadLoss(reread) }),
  });
  if (statistics.headLoss) wide.headLoss = spreadLoss(statistics.headLoss);
  return { filters: { ...filters, layers, values: spread(filters.values) }, statistics: wide };
}
