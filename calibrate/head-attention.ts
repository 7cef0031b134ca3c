import { type AttentionRow, attentionRows, headOf } from "./attention-rows.ts";
import type { LayerSequence } from "./attention-sample.ts";
import { fitPoisson } from "./poisson.ts";
import type { SourceShape } from "./query-source.ts";
import { type RankingWeights, rank, SINKS, WINDOW } from "./ranking.ts";

/** Pairs a kv head at which the kept attention is measured. */
export const MASS_BUDGETS: readonly number[] = [
  16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024,
];
/** Younger pairs are left out of the age fit: most are kept anyway, and follow another law. */
const YOUNGEST = 16;
/** Of an all but zero value: its logarithm must stay finite. */
const SMALLEST_NORM = 1e-20;

export interface HeadAttention {
  /** a, b, and the mean and std of the raw score -(k . f). */
  readonly ageFit: readonly [number, number, number, number];
  /** [B]: share of the value-weighted attention that is kept. */
  readonly mass: Float64Array;
}

/** Of each token of one sequence, for one kv head. */
interface TokenScores {
  readonly z: Float32Array;
  readonly logValue: Float32Array;
  readonly valueNorm: Float32Array;
}

/** What the attention of one kv head over the sampled sequences teaches; undefined without sequences. */
export function headAttention(
  sequences: readonly LayerSequence[],
  kvHead: number,
  filter: ArrayLike<number>,
  shape: SourceShape,
): HeadAttention | undefined {
  if (sequences.length === 0) return undefined;
  const { scores, mean, std } = standardise(sequences, kvHead, filter, shape);
  const longest = sequences.reduce((most, { tokens }) => Math.max(most, tokens), 0);
  const logAges = Float32Array.from({ length: longest + 1 }, (_, age) => Math.log(age + 1));
  const rows = Array.from(attentionRows(sequences, kvHead, shape), (row) => ({
    ...row,
    weights: Float32Array.from(row.weights),
  }));
  const weights = fitAges(rows, scores, logAges);
  const mass = new Float64Array(MASS_BUDGETS.length);
  // In the second half of a sequence even large budgets are short.
  const late = rows.filter(({ sequence, position }) => 2 * position >= sequences[sequence]!.tokens);
  for (const row of late) {
    const kept = keptMass(row, scores[row.sequence]!, logAges, weights);
    for (const [i, share] of kept.entries()) mass[i]! += share / late.length;
  }
  return { ageFit: [weights.a, weights.b, mean, std], mass };
}

type KeptRow = Omit<AttentionRow, "weights"> & { readonly weights: Float32Array };

function standardise(
  sequences: readonly LayerSequence[],
  kvHead: number,
  filter: ArrayLike<number>,
  { kvHeads, headDim }: SourceShape,
): { scores: TokenScores[]; mean: number; std: number } {
  let sum = 0;
  let squares = 0;
  let count = 0;
  const raw = sequences.map(({ tokens, keys }) => {
    const own = headOf(keys, tokens, kvHead, kvHeads, headDim);
    const scores = new Float64Array(tokens);
    for (let t = 0; t < tokens; t++) {
      let dot = 0;
      for (let i = 0; i < headDim; i++) dot += own[t * headDim + i]! * filter[i]!;
      scores[t] = -dot;
      if (t < SINKS) continue;
      sum += scores[t]!;
      squares += dot * dot;
      count++;
    }
    return scores;
  });
  const mean = count ? sum / count : 0;
  const variance = count ? Math.max(0, squares / count - mean * mean) : 0;
  const std = Math.sqrt(variance);
  const scores = sequences.map(({ tokens, valueNorms }, n) => {
    const valueNorm = headOf(valueNorms, tokens, kvHead, kvHeads, 1);
    return {
      z: Float32Array.from(raw[n]!, (score) => (std > 0 ? (score - mean) / std : 0)),
      valueNorm,
      logValue: valueNorm.map((norm) => Math.log(Math.max(norm, SMALLEST_NORM))),
    };
  });
  return { scores, mean, std };
}

/** attention = exp(c + a z + b ln(age + 1)), over pairs beyond the youngest and the sinks. */
function fitAges(
  rows: readonly KeptRow[],
  scores: readonly TokenScores[],
  logAges: Float32Array,
): RankingWeights {
  const pairsOf = (position: number) => Math.max(0, position - YOUNGEST - SINKS);
  const count = rows.reduce((sum, { position }) => sum + pairsOf(position), 0);
  if (count === 0) return { a: 0, b: 0 };
  const y = new Float32Array(count);
  const x1 = new Float32Array(count);
  const x2 = new Float32Array(count);
  let n = 0;
  for (const { sequence, position, weights } of rows) {
    const { z } = scores[sequence]!;
    for (let j = SINKS; j < position - YOUNGEST; j++, n++) {
      y[n] = weights[j]!;
      x1[n] = z[j]!;
      x2[n] = logAges[position - j]!;
    }
  }
  const [, a, b] = fitPoisson({ y, x1, x2, count }).coefficients;
  return { a, b };
}

/** Share of sum(attention |v|) at one query that each budget keeps: sinks, window, and the best of the rest. */
function keptMass(
  { position, weights }: KeptRow,
  { z, logValue, valueNorm }: TokenScores,
  logAges: Float32Array,
  fit: RankingWeights,
): number[] {
  const count = position + 1;
  const mass = new Float64Array(count);
  const ranks = new Float32Array(count);
  let total = 0;
  for (let j = 0; j < count; j++) {
    mass[j] = weights[j]! * valueNorm[j]!;
    total += mass[j]!;
    const logAge = logAges[position - j]!;
    ranks[j] = rank({ z: z[j]!, logValue: logValue[j]!, logAge }, fit);
  }
  /** Ranks of what is not protected under a window, descending. */
  const ordered = new Map<number, Float32Array>();
  return MASS_BUDGETS.map((budget) => {
    if (budget >= count || total === 0) return 1;
    // As the cache shrinks its window with a small budget.
    const window = Math.min(WINDOW, budget >> 1);
    const first = count - window;
    let order = ordered.get(window);
    if (!order) {
      order = ranks.slice(SINKS, first).sort().reverse();
      ordered.set(window, order);
    }
    const room = budget - window - SINKS;
    const threshold = order[room - 1]!;
    let kept = 0;
    for (let j = 0; j < count; j++)
      if (j < SINKS || j >= first || ranks[j]! >= threshold) kept += mass[j]!;
    return kept / total;
  });
}
