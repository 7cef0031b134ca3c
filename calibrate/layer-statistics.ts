import { type HeadStatistics, SCORE_WEIGHTS } from "../src/cache/filters-file.ts";
import { unexplained } from "../src/cache/head-knowledge.ts";
import { fitAge } from "./attention/age-fit.ts";
import { keptRows } from "./attention/attention-rows.ts";
import { headSequence } from "./attention/head-sequence.ts";
import { LOSS_BUDGETS, outputGram, outputLoss } from "./attention/output-loss.ts";
import { fitScore } from "./attention/score-fit.ts";
import { queryStatistics, type SampledQueries } from "./queries/query-statistics.ts";
import type { LayerSequence } from "./source/attention-sample.ts";
import type { QuerySource } from "./source/query-source.ts";

/** A larger covariance is left out of the file. */
const MAX_COVARIANCE_BYTES = 16 * 2 ** 20;

/**
 * An error is measured by the length of the residual stream, which grows with depth, to this power: later layers still
 * correct a part of what an early one got wrong. Of 1, 0.75 and 0.6 the second answers best (src/cache/policies/README.md).
 */
const STREAM_POWER = 0.75;

/** A layer's attention: the sequences that were kept, and its output matrix. */
interface LayerAttention {
  readonly sequences: readonly LayerSequence[];
  /** [E, H D] */
  readonly output: Float32Array | undefined;
}

/** Gathers the statistics of all heads, one after the other, in the layout of a file. */
export class LayerStatistics {
  readonly notices: string[] = [];
  private readonly source: QuerySource;
  /** r D */
  private readonly groupDim: number;
  private readonly mean: Float32Array;
  private readonly abs: Float32Array;
  private readonly covariance: Float32Array | undefined;
  private readonly ageFit: Float32Array;
  private readonly scoreFit: Float32Array;
  private readonly loss: Float32Array;
  /** Heads that have each. */
  private readonly found = { ageFit: 0, scoreFit: 0, loss: 0 };

  constructor(source: QuerySource, withCovariance = true) {
    const { layers, heads, kvHeads, headDim } = source;
    const all = layers * kvHeads;
    this.source = source;
    this.groupDim = (heads / kvHeads) * headDim;
    this.mean = new Float32Array(all * this.groupDim);
    this.abs = new Float32Array((all * headDim) / 2);
    this.ageFit = new Float32Array(all * 4);
    this.scoreFit = new Float32Array(all * SCORE_WEIGHTS);
    this.loss = new Float32Array(all * LOSS_BUDGETS.length);
    if (!withCovariance) return;
    const values = all * headDim * headDim;
    if (values * 4 <= MAX_COVARIANCE_BYTES) this.covariance = new Float32Array(values);
    else
      this.notices.push(
        `query covariances would take ${((values * 4) / 2 ** 20).toFixed(1)} MB and are left out: expected-attention cannot run from this file`,
      );
  }

  /** Adds kv head `head` of `layer`, whose filter is known by now. */
  add(
    layer: number,
    head: number,
    queries: SampledQueries,
    attention: LayerAttention,
    filter: Float32Array,
  ): void {
    const { kvHeads, headDim } = this.source;
    const frequencies = this.source.frequencies[layer]!;
    const at = layer * kvHeads + head;
    const wanted = this.covariance !== undefined;
    const found = queryStatistics(queries, head, this.source, frequencies, wanted);
    this.mean.set(found.means, at * this.groupDim);
    this.abs.set(found.abs, (at * headDim) / 2);
    if (found.covariance) this.covariance?.set(found.covariance, at * headDim * headDim);
    const means = Float32Array.from(found.means);
    const scored = {
      means,
      unexplained: unexplained(means, found.abs),
      filter,
      frequencies,
    };
    this.addAttention(at, head, attention, scored);
  }

  private addAttention(
    at: number,
    kvHead: number,
    { sequences, output }: LayerAttention,
    head: Parameters<typeof fitScore>[2],
  ): void {
    if (sequences.length === 0) return;
    const parts = sequences.map((one) => headSequence(one, kvHead, this.source, head));
    const rows = keptRows(sequences, kvHead, this.source);
    this.ageFit.set(fitAge(parts, rows), at * 4);
    this.found.ageFit++;
    const weights = fitScore(parts, rows, head);
    if (!weights) return;
    this.scoreFit.set(weights, at * SCORE_WEIGHTS);
    this.found.scoreFit++;
    const stream = median(sequences.flatMap(({ residual }) => Array.from(residual)));
    if (!output || !(stream > 0)) return;
    const gram = outputGram(output, kvHead, this.source);
    const loss = outputLoss(sequences, parts, kvHead, this.source, head, weights, gram);
    this.loss.set(
      loss.map((error) => error / stream ** STREAM_POWER),
      at * LOSS_BUDGETS.length,
    );
    this.found.loss++;
  }

  result(): HeadStatistics {
    const { layers, kvHeads } = this.source;
    const { ageFit, scoreFit, loss } = this.found;
    const all = (count: number) => count === layers * kvHeads;
    return {
      queryMean: this.mean,
      queryAbs: this.abs,
      ...(this.covariance ? { queryCovariance: this.covariance } : {}),
      ...(all(ageFit) ? { ageFit: this.ageFit } : {}),
      ...(all(scoreFit) ? { scoreFit: this.scoreFit } : {}),
      ...(all(loss) ? { headLoss: { budgets: LOSS_BUDGETS, values: this.loss } } : {}),
    };
  }
}

/** NaN of none. */
function median(values: number[]): number {
  const sorted = values.sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}
