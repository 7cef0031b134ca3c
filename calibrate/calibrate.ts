import { invalidArgument, throwIfAborted, WinnowError } from "../src/errors.ts";
import { layerFilters } from "./head-filter.ts";
import type { QueryBatch, QuerySource } from "./query-source.ts";
import { RowReservoir } from "./sampling.ts";

/** The reference samples 3,000 queries a head; results are flat from about 1,000. */
export const DEFAULT_SAMPLES = 3000;

export interface CalibrationProgress {
  /** "queries": rows captured, summed over layers (`total` 0 where unknown); "filters": layers solved. */
  readonly stage: "queries" | "filters";
  readonly loaded: number;
  readonly total: number;
}

export interface CalibrationOptions {
  /** Queries a head. Default 3,000. */
  samples?: number;
  /** Seed of the sampling. Default 0. */
  seed?: number;
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
}

const positiveInteger = (value: number) => Number.isSafeInteger(value) && value > 0;

function checkSource({ layers, heads, kvHeads, headDim }: QuerySource): void {
  for (const [name, value] of Object.entries({ layers, heads, kvHeads, headDim }))
    if (!positiveInteger(value))
      throw invalidArgument(name, `must be a positive integer, not ${value}`);
  if (heads % kvHeads)
    throw invalidArgument("heads", `${heads} query heads do not divide into ${kvHeads} kv heads`);
}

function checkBatch({ layer, rows, queries }: QueryBatch, source: QuerySource): void {
  const expected = rows * source.heads * source.headDim;
  if (!(Number.isInteger(layer) && layer >= 0 && layer < source.layers))
    throw new WinnowError("internal", `captured queries name layer ${layer} of ${source.layers}`);
  if (!(rows >= 0) || queries.length < expected)
    throw new WinnowError(
      "internal",
      `captured queries of layer ${layer}: ${queries.length} values for ${rows} rows, need ${expected}`,
    );
}

function tooShort(rows: number, samples: number): WinnowError {
  return invalidArgument(
    "texts",
    `${rows} tokens, but ${samples} samples a head were asked for`,
    "Give more or longer texts, or ask for fewer samples.",
  );
}

/** Lets other work run between layers: a page must stay responsive. */
const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

/**
 * Filters of every kv head from a model's queries. Holds L x samples x H x D x 4 bytes of samples
 * (207 MB for SmolLM2-135M): the orientation needs the queries themselves, not only their Gram matrix.
 * @throws invalid_argument for bad options or texts with fewer tokens than samples; aborted
 */
export async function calibrate(
  source: QuerySource,
  options: CalibrationOptions = {},
): Promise<CalibratedFilters> {
  const { samples = DEFAULT_SAMPLES, seed = 0, onProgress, signal } = options;
  checkSource(source);
  if (!positiveInteger(samples))
    throw invalidArgument("samples", `must be a positive integer, not ${samples}`);
  const { layers, heads, kvHeads, headDim } = source;
  if (source.rows !== undefined && source.rows < samples) throw tooShort(source.rows, samples);
  throwIfAborted(signal);

  const total = (source.rows ?? 0) * layers;
  // One reservoir a layer with a seed of its own: the reference permutes each layer anew.
  const reservoirs = Array.from(
    { length: layers },
    (_, layer) => new RowReservoir(samples, heads * headDim, seed * 65537 + layer),
  );
  let loaded = 0;
  for await (const batch of source.batches(signal)) {
    throwIfAborted(signal);
    checkBatch(batch, source);
    reservoirs[batch.layer]!.offer(batch.queries, batch.rows);
    loaded += batch.rows;
    onProgress?.({ stage: "queries", loaded, total });
  }

  const filters = new Float32Array(layers * kvHeads * headDim);
  const explained: number[][] = [];
  for (const [layer, reservoir] of reservoirs.entries()) {
    await pause();
    throwIfAborted(signal);
    if (reservoir.size < samples) throw tooShort(reservoir.size, samples);
    if (!reservoir.rows.every(Number.isFinite))
      throw new WinnowError("internal", `captured queries of layer ${layer} are not all finite`);
    const solved = layerFilters(reservoir.rows, samples, source);
    filters.set(solved.filters, layer * kvHeads * headDim);
    explained.push(solved.explained);
    onProgress?.({ stage: "filters", loaded: layer + 1, total: layers });
  }
  return { filters, layers, kvHeads, headDim, explained, samples };
}
