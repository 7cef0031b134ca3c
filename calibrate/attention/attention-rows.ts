import type { LayerSequence } from "../source/attention-sample.ts";
import type { SourceShape } from "../source/query-source.ts";
import { headOf } from "./head-sequence.ts";

/** Attention of one kv head at one query position, the mean of its query group. */
interface AttentionRow {
  readonly sequence: number;
  readonly position: number;
  /** [position + 1], sums to 1. Reused for the next row. */
  readonly weights: Float64Array;
}

/** A row that stays. */
export type KeptRow = Omit<AttentionRow, "weights"> & { readonly weights: Float32Array };

export const keptRows = (...of: Parameters<typeof attentionRows>): KeptRow[] =>
  Array.from(attentionRows(...of), (row) => ({ ...row, weights: Float32Array.from(row.weights) }));

/** Attention of kv head `kvHead` at each sampled query, causal and over everything before it. */
function* attentionRows(
  sequences: readonly LayerSequence[],
  kvHead: number,
  { heads, kvHeads, headDim }: SourceShape,
): Generator<AttentionRow> {
  const group = heads / kvHeads;
  const scale = 1 / Math.sqrt(headDim);
  for (const [sequence, { tokens, keys, queries, positions }] of sequences.entries()) {
    const own = headOf(keys, tokens, kvHead, kvHeads, headDim);
    const mean = new Float64Array(tokens);
    const logits = new Float64Array(tokens);
    for (const [n, position] of positions.entries()) {
      mean.fill(0, 0, position + 1);
      for (let head = kvHead * group; head < (kvHead + 1) * group; head++) {
        const query = queries.subarray((n * heads + head) * headDim);
        let highest = Number.NEGATIVE_INFINITY;
        for (let j = 0; j <= position; j++) {
          let dot = 0;
          for (let i = 0, at = j * headDim; i < headDim; i++, at++) dot += query[i]! * own[at]!;
          logits[j] = dot * scale;
          if (logits[j]! > highest) highest = logits[j]!;
        }
        let sum = 0;
        for (let j = 0; j <= position; j++) {
          logits[j] = Math.exp(logits[j]! - highest);
          sum += logits[j]!;
        }
        const share = 1 / (sum * group);
        for (let j = 0; j <= position; j++) mean[j]! += logits[j]! * share;
      }
      yield { sequence, position, weights: mean.subarray(0, position + 1) };
    }
  }
}
