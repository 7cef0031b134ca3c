import { normsOf } from "../source/attention-sample.ts";
import type { QueryBatch, SourceShape } from "../source/query-source.ts";

/** Length of an all but zero value: its logarithm must stay finite. */
const SMALLEST_NORM = 1e-20;
/** Sums per head: of |k|, its square, ln |v|, its square. */
const SUMS = 4;

/** Running mean and standard deviation of |k| and of ln |v| a kv head, over every token seen. */
export class NormStatistics {
  private readonly shape: SourceShape;
  private readonly counts: Float64Array;
  private readonly sums: Float64Array;

  constructor(shape: SourceShape) {
    this.shape = shape;
    this.counts = new Float64Array(shape.layers);
    this.sums = new Float64Array(shape.layers * shape.kvHeads * SUMS);
  }

  add({ layer, rows, keys, values }: QueryBatch): void {
    if (!keys || !values) return;
    const { kvHeads, headDim } = this.shape;
    const keyNorms = normsOf(keys, rows * kvHeads, headDim);
    const valueNorms = normsOf(values, rows * kvHeads, headDim);
    this.counts[layer]! += rows;
    for (let n = 0; n < rows * kvHeads; n++) {
      const at = (layer * kvHeads + (n % kvHeads)) * SUMS;
      const key = keyNorms[n]!;
      const value = Math.log(Math.max(valueNorms[n]!, SMALLEST_NORM));
      this.sums[at]! += key;
      this.sums[at + 1]! += key * key;
      this.sums[at + 2]! += value;
      this.sums[at + 3]! += value * value;
    }
  }

  /** [L, G, 4]: mean and std of |k|, mean and std of ln |v|; undefined where a layer saw no keys. */
  result(): Float32Array | undefined {
    if (!this.counts.every((count) => count > 0)) return undefined;
    const out = new Float32Array(this.sums.length);
    for (let at = 0; at < this.sums.length; at += 2) {
      const count = this.counts[Math.floor(at / SUMS / this.shape.kvHeads)]!;
      const mean = this.sums[at]! / count;
      out[at] = mean;
      out[at + 1] = Math.sqrt(Math.max(0, this.sums[at + 1]! / count - mean * mean));
    }
    return out;
  }
}
