import type { HeadScore } from "../../../../src/kernels/scoring/head-data.ts";
import type { ScoreFeatures } from "../../../../src/kernels/scoring/score-features.ts";
import { rotate } from "../attention/rope.ts";
import { positionHash } from "../pages/kv-write.ts";
import type { Pair } from "../pages/paged-slab.ts";

export interface ScoreCase {
  features: ScoreFeatures;
  /** Where scores are joined from parts: neighbours on either side whose highest score a row takes. */
  pool?: number;
  head: HeadScore;
  /** layer * G + kv head, and the lane's seed: of the hash. */
  index: number;
  seed: number;
  /** Position of the newest token. */
  last: number;
  /** Where a position stands for RoPE, if positions were folded. Default: where it is. */
  standing?: (position: number) => number;
  /** [D/2]. */
  inverseFrequencies: ArrayLike<number>;
  /** Candidates that are cached: the others are rows of a block, which alone are pooled. */
  count: number;
  /** Attention that was seen of each candidate: a part of joined scores. */
  observed: ArrayLike<number>;
}

type Vector = ArrayLike<number>;
const dot = (a: Vector, b: Vector): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i]! * b[i]!;
  return sum;
};
const length = (a: Vector): number => Math.sqrt(dot(a, a));

/** Twin of shaders/scoring/score_cache.wgsl, and of those that join scores, in f64: the scores of one kv head's candidates. */
export function scoreCache(candidates: readonly Pair[], c: ScoreCase): number[] {
  const { features, head, inverseFrequencies: frequencies, standing = (x) => x } = c;
  const turnedBack = (key: Vector, position: number) => rotate(key, -position, frequencies);
  const anchor = anchorOf(candidates.map(({ key }) => key));
  const plain = candidates.map(({ key, position }) => turnedBack(key, standing(position)));
  const plainAnchor = anchorOf(plain);
  const D = 2 * frequencies.length;
  const queries = Array.from({ length: (head.expectedQuery?.length ?? 0) / D }, (_, q) =>
    rotate(
      Array.from(head.expectedQuery!).slice(q * D, (q + 1) * D),
      standing(c.last),
      frequencies,
    ),
  );
  const keySpread = spreadOf(plain);
  const valueSpread = spreadOf(candidates.map(({ value }) => value));
  const parts = candidates.map(({ key, value, position }, i) => {
    const norm = length(key);
    let importance =
      (head.dot ?? 0) * dot(key, head.filter ?? new Float64Array(key.length)) +
      (head.norm ?? 0) * norm +
      (head.position ?? 0) * position +
      (head.random ?? 0) * positionHash(position, c.index, c.seed) +
      (head.logAge ?? 0) * Math.log(Math.max(0, c.last - position) + 1);
    if (features.moving) importance += head.moving! * logSumExp(queries.map((q) => dot(key, q)));
    if (features.pairNorm)
      for (let j = 0; j < key.length / 2; j += 1) {
        const pair = Math.hypot(key[j]!, key[j + key.length / 2]!);
        importance += head.pairNorm! * head.pairWeights![j]! * pair;
      }
    if (features.quadratic)
      importance +=
        head.quadratic! * quadraticForm(turnedBack(key, standing(c.last)), head.covariance!);
    if (features.value) importance += head.logValue! * Math.log(Math.max(1e-6, length(value)));
    if (features.novelty) importance -= (head.novelty! * dot(key, anchor)) / norm;
    return [importance, -dot(plain[i]!, plainAnchor) / norm, keySpread[i]!, valueSpread[i]!];
  });
  const { pool } = c;
  if (pool === undefined) return parts.map(([importance]) => importance!);
  const own = head.weights!;
  const weights = [own.importance, own.novelty, own.keySpread, own.valueSpread].map(
    (weight, p) => weight * inverseDeviation(parts.map((x) => x[p]!)),
  );
  const scores = parts.map((part) => dot(part, weights));
  const pooled = scores.map((score, i) =>
    i < c.count ? score : Math.max(...scores.slice(Math.max(c.count, i - pool), i + pool + 1)),
  );
  const seen = candidates.map((_, i) => Math.log(c.observed[i]! + 1e-6));
  const [ofScore, ofSeen] = [inverseDeviation(pooled), own.observed * inverseDeviation(seen)];
  return pooled.map((score, i) => score * ofScore + seen[i]! * ofSeen);
}

/** Root mean square over the channels, each standardised over the vectors. */
function spreadOf(vectors: readonly Vector[]): number[] {
  const count = vectors.length;
  const channels = Array.from({ length: vectors[0]?.length ?? 0 }, (_, d) => {
    const x = vectors.map((vector) => vector[d]!);
    return { mean: x.reduce((a, b) => a + b, 0) / count, inverse: inverseDeviation(x) };
  });
  return vectors.map((vector) =>
    Math.sqrt(
      channels.reduce(
        (sum, { mean, inverse }, d) => sum + ((vector[d]! - mean) * inverse) ** 2,
        0,
      ) / channels.length,
    ),
  );
}

const logSumExp = (x: readonly number[]): number => {
  const most = Math.max(...x);
  return most + Math.log(x.reduce((sum, y) => sum + Math.exp(y - most), 0));
};

/** The direction of the mean unit vector. */
function anchorOf(keys: readonly Vector[]): Float64Array {
  const sum = new Float64Array(keys[0]?.length ?? 0);
  for (const key of keys) {
    const norm = length(key);
    for (let d = 0; d < sum.length; d += 1) sum[d]! += key[d]! / norm;
  }
  const norm = length(sum);
  return sum.map((x) => x / norm);
}

function quadraticForm(x: Vector, matrix: Vector): number {
  let sum = 0;
  for (let i = 0; i < x.length; i += 1)
    for (let j = 0; j < x.length; j += 1) sum += x[i]! * matrix[i * x.length + j]! * x[j]!;
  return sum;
}

/** One over the standard deviation; 0 of what is the same of all. */
function inverseDeviation(x: readonly number[]): number {
  const mean = x.reduce((a, b) => a + b, 0) / x.length;
  const variance = x.reduce((a, b) => a + (b - mean) ** 2, 0) / x.length;
  return variance > 1e-10 * mean * mean ? 1 / Math.sqrt(variance) : 0;
}
