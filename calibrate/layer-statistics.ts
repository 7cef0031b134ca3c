import type { HeadStatistics } from "../src/cache/filters-file.ts";
import type { LayerSequence } from "./attention-sample.ts";
import { headAttention, MASS_BUDGETS } from "./head-attention.ts";
import type { QuerySource } from "./query-source.ts";
import { queryStatistics, type SampledQueries } from "./query-statistics.ts";

/** A larger covariance is left out of the file. */
const MAX_COVARIANCE_BYTES = 16 * 2 ** 20;

/** Gathers the statistics of all heads, one after the other, in the layout of a file. */
export class LayerStatistics {
  readonly notices: string[] = [];
  private readonly source: QuerySource;
  private readonly mean: Float32Array;
  private readonly headMeans: Float32Array;
  private readonly abs: Float32Array;
  private readonly covariance: Float32Array | undefined;
  private readonly ageFit: Float32Array;
  private readonly mass: Float32Array;
  private headsWithAttention = 0;

  constructor(source: QuerySource) {
    const { layers, kvHeads, headDim } = source;
    const all = layers * kvHeads;
    this.source = source;
    this.mean = new Float32Array(all * headDim);
    this.headMeans = new Float32Array(layers * source.heads * headDim);
    this.abs = new Float32Array((all * headDim) / 2);
    this.ageFit = new Float32Array(all * 4);
    this.mass = new Float32Array(all * MASS_BUDGETS.length);
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
    sequences: readonly LayerSequence[],
    filter: Float32Array,
  ): void {
    const { kvHeads, headDim, inverseFrequencies } = this.source;
    const at = layer * kvHeads + head;
    const wanted = this.covariance !== undefined;
    const found = queryStatistics(queries, head, this.source, inverseFrequencies, wanted);
    this.mean.set(found.mean, at * headDim);
    this.headMeans.set(found.headMeans, at * found.headMeans.length);
    this.abs.set(found.abs, (at * headDim) / 2);
    if (found.covariance) this.covariance?.set(found.covariance, at * headDim * headDim);
    const attention = headAttention(sequences, head, filter, this.source);
    if (!attention) return;
    this.headsWithAttention++;
    this.ageFit.set(attention.ageFit, at * 4);
    this.mass.set(attention.mass, at * MASS_BUDGETS.length);
  }

  result(): HeadStatistics {
    const { layers, kvHeads } = this.source;
    const attention = this.headsWithAttention === layers * kvHeads;
    return {
      queryMean: this.mean,
      queryHeadMean: this.headMeans,
      queryAbs: this.abs,
      ...(this.covariance ? { queryCovariance: this.covariance } : {}),
      ...(attention
        ? { ageFit: this.ageFit, headMass: { budgets: MASS_BUDGETS, values: this.mass } }
        : {}),
    };
  }
}
