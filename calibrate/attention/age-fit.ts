import type { KeptRow } from "./attention-rows.ts";
import type { HeadSequence } from "./head-sequence.ts";
import { fitPoisson } from "./poisson.ts";
import { SINKS, YOUNGEST } from "./score-features.ts";

/**
 * How the attention to a pair falls with its age and its Q-Filter score, of one kv head:
 * attention = exp(c + a z + b ln(age + 1)), z the standardised score -(k . f), over pairs beyond the youngest
 * and the sinks. Returns a, b, mean and std.
 */
export function fitAge(
  sequences: readonly HeadSequence[],
  rows: readonly KeptRow[],
): [number, number, number, number] {
  const { mean, std } = spread(sequences);
  const pairsOf = (position: number) => Math.max(0, position - YOUNGEST - SINKS);
  const count = rows.reduce((sum, { position }) => sum + pairsOf(position), 0);
  if (count === 0) return [0, 0, mean, std];
  const y = new Float32Array(count);
  const x = new Float32Array(2 * count);
  let n = 0;
  for (const { sequence, position, weights } of rows) {
    const { filterDot } = sequences[sequence]!;
    for (let j = SINKS; j < position - YOUNGEST; j++, n++) {
      y[n] = weights[j]!;
      x[2 * n] = std > 0 ? (-filterDot[j]! - mean) / std : 0;
      x[2 * n + 1] = Math.log(position - j + 1);
    }
  }
  const [a, b] = fitPoisson({ y, x, covariates: 2 }).weights as [number, number];
  return [a, b, mean, std];
}

/** Mean and std of the scores beyond the sinks. */
function spread(sequences: readonly HeadSequence[]): { mean: number; std: number } {
  let sum = 0;
  let squares = 0;
  let count = 0;
  for (const { filterDot } of sequences)
    for (let t = SINKS; t < filterDot.length; t++) {
      sum -= filterDot[t]!;
      squares += filterDot[t]! ** 2;
      count++;
    }
  if (count === 0) return { mean: 0, std: 0 };
  const mean = sum / count;
  return { mean, std: Math.sqrt(Math.max(0, squares / count - mean * mean)) };
}
