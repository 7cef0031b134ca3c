import type { HeadStatistics } from "../src/cache/filters-file.ts";
import { invalidArgument, throwIfAborted, WinnowError } from "../src/errors.ts";
import { type Agreement, SampleAgreement } from "./agreement.ts";
import { RereadLoss } from "./attention/reread-loss.ts";
import { LayerStatistics } from "./layer-statistics.ts";
import { layerFilters } from "./queries/head-filter.ts";
import { NormStatistics } from "./queries/norm-statistics.ts";
import { AttentionSample } from "./source/attention-sample.ts";
import type { QueryBatch, QuerySource } from "./source/query-source.ts";
import { RowReservoir } from "./source/sampling.ts";

/** The reference samples 3,000 queries per head; results are flat from about 1,000. */
export const DEFAULT_SAMPLES = 3000;

export interface CalibrationProgress {
  /** "queries": rows captured, summed over layers (`total` 0 where unknown); "filters": layers solved. */
  readonly stage: "queries" | "filters";
  readonly loaded: number;
  readonly total: number;
}

export interface CalibrationOptions {
  /** Queries per head. Default 3,000. */
  samples?: number;
  /** Seed of the sampling. Default 0. */
  seed?: number;
  /** Also measures how far filters depend on the sample. Default false. */
  agreement?: boolean;
  /** Also the queries' covariances, D x D values per head. Default true. */
  covariance?: boolean;
  /** Awaited between layers and heads. Default: lets other work of the thread run. */
  pause?: () => Promise<void>;
  onProgress?: (progress: CalibrationProgress) => void;
  signal?: AbortSignal;
}

export interface CalibratedFilters {
  /** [L, G, D], the published sign: score = -(k . f). */
  readonly filters: Float32Array;
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** [L][G]: the filter direction's part of the queries' summed squares, mean of the query group. */
  readonly explained: number[][];
  /** Queries a head that were used. */
  readonly samples: number;
  /** Seed of the sampling. */
  readonly seed: number;
  /** What the same pass learned for other policies; about attention only from a source with keys. */
  readonly statistics: HeadStatistics;
  /** Things the user should know. */
  readonly notices: readonly string[];
  readonly agreement?: Agreement;
}

const positiveInteger = (value: number) => Number.isSafeInteger(value) && value > 0;

function checkSource({ layers, heads, kvHeads, headDim, frequencies }: QuerySource): void {
  for (const [name, value] of Object.entries({ layers, heads, kvHeads, headDim }))
    if (!positiveInteger(value))
      throw invalidArgument(name, `must be a positive integer, not ${value}`);
  if (heads % kvHeads)
    throw invalidArgument("heads", `${heads} query heads do not divide into ${kvHeads} kv heads`);
  if (frequencies.length !== layers)
    throw invalidArgument("frequencies", `of ${frequencies.length} layers, not of ${layers}`);
  const wrong = frequencies.find(({ length }) => length * 2 !== headDim);
  if (wrong)
    throw invalidArgument("frequencies", `${wrong.length} for a head of ${headDim} dimensions`);
}

function checkBatch(batch: QueryBatch, source: QuerySource): void {
  const { layer, rows, queries, keys, values, residual } = batch;
  if (!(Number.isInteger(layer) && layer >= 0 && layer < source.layers))
    throw new WinnowError("internal", `captured queries name layer ${layer} of ${source.layers}`);
  const check = (name: string, found: Float32Array | undefined, expected: number): void => {
    if (found && !(rows >= 0 && found.length >= expected))
      throw new WinnowError(
        "internal",
        `captured ${name} of layer ${layer}: ${found.length} values for ${rows} rows, need ${expected}`,
      );
  };
  check("queries", queries, rows * source.heads * source.headDim);
  check("keys", keys, rows * source.kvHeads * source.headDim);
  check("values", values, rows * source.kvHeads * source.headDim);
  check("residual", residual, rows);
}

function tooShort(rows: number, samples: number): WinnowError {
  return invalidArgument(
    "texts",
    `${rows} tokens, but ${samples} samples a head were asked for`,
    "Give more or longer texts, or ask for fewer samples.",
  );
}

/** Lets other work run between heads: a page must stay responsive, and hear an abort. */
const breathe = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/**
 * Filters and statistics of every kv head, from one pass over a model's queries, keys and values. Holds
 * L x samples x H x D x 4 bytes of queries (207 MB for SmolLM2-135M: the orientation needs the queries
 * themselves, not only their Gram matrix) and at most 256 MB of keys and values of a few sequences, however long
 * the texts.
 * @throws invalid_argument for bad options or texts with fewer tokens than samples; aborted
 */
export async function calibrate(
  source: QuerySource,
  options: CalibrationOptions = {},
): Promise<CalibratedFilters> {
  const { samples = DEFAULT_SAMPLES, seed = 0, pause = breathe, onProgress, signal } = options;
  checkSource(source);
  if (!positiveInteger(samples))
    throw invalidArgument("samples", `must be a positive integer, not ${samples}`);
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw invalidArgument("seed", `must be a whole number, not ${seed}`);
  const { layers, heads, kvHeads, headDim } = source;
  if (source.rows !== undefined && source.rows < samples) throw tooShort(source.rows, samples);
  throwIfAborted(signal);

  // One reservoir a layer with a seed of its own: the reference permutes each layer anew.
  const reservoirs = Array.from(
    { length: layers },
    (_, layer) => new RowReservoir(samples, heads * headDim, seed * 65537 + layer),
  );
  const attention = new AttentionSample(source, seed);
  const norms = new NormStatistics(source);
  const { rereads } = source;
  const again = rereads ? 2 * rereads.tokens * rereads.documents : 0;
  const total = source.rows ? (source.rows + again) * layers : 0;
  let loaded = 0;
  for await (const batch of source.batches(signal)) {
    throwIfAborted(signal);
    checkBatch(batch, source);
    reservoirs[batch.layer]!.offer(batch.queries, batch.rows, batch.start);
    attention.offer(batch);
    norms.add(batch);
    loaded += batch.rows;
    onProgress?.({ stage: "queries", loaded, total });
  }

  const reread = rereads && new RereadLoss(source, rereads.tokens);
  if (reread)
    for await (const attention of rereads.attention(signal)) {
      throwIfAborted(signal);
      reread.add(attention);
      loaded += 2 * rereads.tokens * layers;
      onProgress?.({ stage: "queries", loaded, total });
    }

  const filters = new Float32Array(layers * kvHeads * headDim);
  const explained: number[][] = [];
  const statistics = new LayerStatistics(source, options.covariance ?? true);
  const agreement = options.agreement ? new SampleAgreement(source, samples, seed) : undefined;
  for (const [layer, reservoir] of reservoirs.entries()) {
    await pause();
    throwIfAborted(signal);
    if (reservoir.size < samples) throw tooShort(reservoir.size, samples);
    if (!reservoir.rows.every(Number.isFinite))
      throw new WinnowError("internal", `captured queries of layer ${layer} are not all finite`);
    const solved = layerFilters(reservoir.rows, samples, source);
    filters.set(solved.filters, layer * kvHeads * headDim);
    explained.push(solved.explained);
    const queries = { rows: reservoir.rows, positions: reservoir.positions, count: samples };
    const sequences = attention.take(layer);
    const output = sequences.length > 0 ? await source.outputMatrix?.(layer) : undefined;
    if (output && output.length % (heads * headDim))
      throw new WinnowError("internal", `output matrix of layer ${layer}: ${output.length} values`);
    for (let head = 0; head < kvHeads; head++) {
      await pause();
      throwIfAborted(signal);
      const filter = solved.filters.subarray(head * headDim, (head + 1) * headDim);
      statistics.add(layer, head, queries, { sequences, output }, filter);
    }
    agreement?.add(reservoir.rows, solved.filters);
    reservoir.release();
    onProgress?.({ stage: "filters", loaded: layer + 1, total: layers });
  }
  const keyValueNorms = norms.result();
  const found = statistics.result();
  return {
    filters,
    layers,
    kvHeads,
    headDim,
    explained,
    samples,
    seed,
    statistics: {
      ...found,
      ...(keyValueNorms ? { keyValueNorms } : {}),
      ...(found.headLoss && {
        headLoss: { ...found.headLoss, ...(reread && { reread: reread.result() }) },
      }),
    },
    notices: statistics.notices,
    ...(agreement ? { agreement: agreement.result() } : {}),
  };
}
