import type { KeptRow } from "./attention-rows.ts";
import type { HeadSequence, ScoredHead } from "./head-sequence.ts";
import { fitPoisson } from "./poisson.ts";
import { FEATURES, SINKS, scoreFeatures, YOUNGEST } from "./score-features.ts";

/** Tokens whose attention a score shall foretell. */
const HORIZON = 192;
/** From one time of ranking to the next. */
const STRIDE = 128;
const LAST_TIME = 1088;
/** On standardised features: keeps features that say the same from growing against each other. */
const RIDGE = 1e-3;

/** Times at which a sequence's pairs are ranked: with a whole horizon after them, or half of a short sequence. */
export function rankingTimes(tokens: number): number[] {
  const times: number[] = [];
  for (let time = HORIZON; time <= LAST_TIME && time + HORIZON <= tokens; time += STRIDE)
    times.push(time);
  return times.length > 0 || tokens < 2 * STRIDE ? times : [tokens >> 1];
}

/**
 * Weights [F] of the features of `scoreFeatures`, fitted for one kv head by Poisson regression: exp of the score
 * is what each of the next queries draws from a pair, its attention times |v|. `rows` are sampled
 * queries. Undefined where no sequence is long enough.
 */
export function fitScore(
  sequences: readonly HeadSequence[],
  rows: readonly KeptRow[],
  head: ScoredHead,
): number[] | undefined {
  const cases = sequences.flatMap((sequence, n) =>
    rankingTimes(sequence.keyNorm.length).flatMap((time) => {
      const next = rows.filter(
        (row) => row.sequence === n && row.position > time && row.position <= time + HORIZON,
      );
      const pairs = Math.max(0, time - YOUNGEST - SINKS);
      return next.length > 0 && pairs > 0 ? [{ sequence, time, next, pairs }] : [];
    }),
  );
  const count = cases.reduce((sum, { pairs }) => sum + pairs, 0);
  if (count === 0) return undefined;
  const y = new Float32Array(count);
  const x = new Float32Array(count * FEATURES);
  let n = 0;
  for (const { sequence, time, next, pairs } of cases) {
    const features = new Float32Array((time + 1) * FEATURES);
    scoreFeatures(sequence, head, time, features);
    x.set(features.subarray(SINKS * FEATURES, (SINKS + pairs) * FEATURES), n * FEATURES);
    for (let j = SINKS; j < SINKS + pairs; j++, n++) {
      let drawn = 0;
      for (const { weights } of next) drawn += weights[j]!;
      y[n] = (drawn / next.length) * sequence.valueNorm[j]!;
    }
  }
  const mean = y.reduce((sum, value) => sum + value, 0) / count;
  if (mean > 0) for (let i = 0; i < count; i++) y[i]! /= mean;
  const deviations = standardise(x);
  const { weights } = fitPoisson({ y, x, covariates: FEATURES }, RIDGE);
  return weights.map((weight, i) => (deviations[i]! > 0 ? weight / deviations[i]! : 0));
}

/** Gives each column of x [N, F] mean 0 and deviation 1 in place; returns the deviations [F], 0 of a constant. */
function standardise(x: Float32Array): number[] {
  const count = x.length / FEATURES;
  return Array.from({ length: FEATURES }, (_, i) => {
    let sum = 0;
    for (let at = i; at < x.length; at += FEATURES) sum += x[at]!;
    const mean = sum / count;
    let squares = 0;
    for (let at = i; at < x.length; at += FEATURES) squares += (x[at]! - mean) ** 2;
    const deviation = Math.sqrt(squares / count);
    // Rounding makes a constant vary a little.
    const varies = deviation > 1e-6 * (1 + Math.abs(mean));
    for (let at = i; at < x.length; at += FEATURES)
      x[at] = varies ? (x[at]! - mean) / deviation : 0;
    return varies ? deviation : 0;
  });
}
