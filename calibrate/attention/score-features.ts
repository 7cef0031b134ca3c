import { expectedQuery } from "../../src/cache/policies/expected-query.ts";
import { OFFSETS } from "../../src/cache/policies/tri-attention.ts";
import type { HeadSequence, ScoredHead } from "./head-sequence.ts";

/** First tokens, which are kept whatever they score. */
export const SINKS = 4;
/** Younger pairs are left out of fits: most are kept anyway, and follow another law. */
export const YOUNGEST = 16;
/** F: features that are fitted. */
export const FEATURES = 7;

/**
 * What a score of the pairs 0..time knows at `time`, the newest pair's position: into `out` [time + 1, F]
 *   tri     ln sum over the group's heads of exp(k . mean over offsets o of RoPE_{time + o}(mean query) / sqrt D)
 *   norm    sum over rotary pairs of |k_j| unexplained_j, / sqrt D
 *   ln |v|
 *   ln(age + 1)
 *   kd      cosine of k and the mean of the unit keys up to now
 *   k . filter
 *   |k|
 */
export function scoreFeatures(
  { keys, keyNorm, logValue, filterDot, pairNorm }: HeadSequence,
  { means, frequencies }: Pick<ScoredHead, "means" | "frequencies">,
  time: number,
  out: Float32Array,
): void {
  const dim = 2 * frequencies.length;
  const anchors = futureQueries(means, frequencies, time);
  const centre = unitCentre(keys, keyNorm, time + 1, dim);
  const logits = new Float64Array(means.length / dim);
  for (let j = 0, at = 0; j <= time; j++, at += FEATURES) {
    const key = j * dim;
    let highest = Number.NEGATIVE_INFINITY;
    for (let head = 0; head < logits.length; head++) {
      let dot = 0;
      for (let i = 0, a = head * dim; i < dim; i++, a++) dot += keys[key + i]! * anchors[a]!;
      logits[head] = dot;
      if (dot > highest) highest = dot;
    }
    let sum = 0;
    for (let head = 0; head < logits.length; head++) sum += Math.exp(logits[head]! - highest);
    let cosine = 0;
    for (let i = 0; i < dim; i++) cosine += keys[key + i]! * centre[i]!;
    out[at] = highest + Math.log(sum);
    out[at + 1] = pairNorm[j]!;
    out[at + 2] = logValue[j]!;
    out[at + 3] = Math.log(time - j + 1);
    out[at + 4] = keyNorm[j]! > 0 ? cosine / keyNorm[j]! : 0;
    out[at + 5] = filterDot[j]!;
    out[at + 6] = keyNorm[j]!;
  }
}

/** [r, D]: mean over the offsets of RoPE_{time + o} of each mean query, / sqrt D. */
function futureQueries(
  means: Float32Array,
  frequencies: ArrayLike<number>,
  time: number,
): Float32Array {
  const dim = 2 * frequencies.length;
  const offsets = OFFSETS.map((offset) => time + offset);
  const out = new Float32Array(means.length);
  for (let at = 0; at < means.length; at += dim)
    out.set(expectedQuery(means.subarray(at, at + dim), frequencies, offsets), at);
  return out.map((x) => x / Math.sqrt(dim));
}

/** [D], of length 1: along the mean of the first `count` unit keys. */
function unitCentre(
  keys: Float32Array,
  keyNorm: Float32Array,
  count: number,
  dim: number,
): Float64Array {
  const centre = new Float64Array(dim);
  for (let j = 0, at = 0; j < count; j++, at += dim) {
    const scale = keyNorm[j]! > 0 ? 1 / keyNorm[j]! : 0;
    for (let i = 0; i < dim; i++) centre[i]! += keys[at + i]! * scale;
  }
  const length = Math.hypot(...centre);
  return length > 0 ? centre.map((x) => x / length) : centre;
}
