import type { LayerSequence } from "../source/attention-sample.ts";
import type { SourceShape } from "../source/query-source.ts";
import type { HeadSequence, ScoredHead } from "./head-sequence.ts";
import { FEATURES, SINKS, scoreFeatures } from "./score-features.ts";

/** Pairs per kv head at which the loss is measured. */
export const LOSS_BUDGETS: readonly number[] = [
  32, 64, 96, 128, 192, 256, 320, 384, 512, 640, 768, 1024,
];
/** Most recent tokens, which are kept whatever they score. */
const WINDOW = 32;
/** Times a sequence at which the loss is measured. */
const TIMES = 24;
/** Part of a sequence before the first of them: budgets are short only where there is more to keep. */
const BEGINNING = 279 / 1280;

/**
 * Products of the columns of `output` [E, H D] that one kv head's group of queries feeds, [rD, rD]: with it the
 * length of an output needs no more than the group's attention.
 */
export function outputGram(
  output: Float32Array,
  kvHead: number,
  { heads, kvHeads, headDim }: SourceShape,
): Float32Array {
  const width = heads * headDim;
  const size = width / kvHeads;
  const sums = new Float64Array(size * size);
  for (let row = kvHead * size; row < output.length; row += width)
    for (let i = 0; i < size; i++) {
      const x = output[row + i]!;
      for (let j = 0; j <= i; j++) sums[i * size + j]! += x * output[row + j]!;
    }
  const gram = Float32Array.from(sums);
  for (let i = 0; i < size; i++)
    for (let j = 0; j < i; j++) gram[j * size + i] = gram[i * size + j]!;
  return gram;
}

/**
 * What evicting costs one kv head at each of LOSS_BUDGETS: the mean over some queries of
 * |W (kept - full)|, where `full` is the group's attention over all pairs [r, D], `kept` that over the sinks,
 * the window and the best of the rest by the fitted score, and W the output matrix, by its `gram`.
 */
export function outputLoss(
  sequences: readonly LayerSequence[],
  parts: readonly HeadSequence[],
  kvHead: number,
  shape: SourceShape,
  head: ScoredHead,
  weights: readonly number[],
  gram: Float32Array,
): Float64Array {
  const { heads, kvHeads, headDim } = shape;
  const size = (heads / kvHeads) * headDim;
  const loss = new Float64Array(LOSS_BUDGETS.length);
  let count = 0;
  for (const [n, part] of parts.entries()) {
    const { queries, positions, tokens } = sequences[n]!;
    const scratch = new Float32Array(tokens * FEATURES);
    for (const row of chosenTimes(positions, tokens)) {
      const time = positions[row]!;
      scoreFeatures(part, head, time, scratch);
      const order = keepingOrder(scratch, weights, time);
      const at = row * heads * headDim + kvHead * size;
      const own = queries.subarray(at, at + size);
      const attended = keptAttention(part, own, headDim, order);
      const full = attended[attended.length - 1]!;
      for (const [b, kept] of attended.slice(0, -1).entries())
        loss[b]! += distance(kept, full, gram);
      count++;
    }
  }
  return count > 0 ? loss.map((sum) => sum / count) : loss;
}

/** Rows of the sampled queries at which to measure, spread over what comes after the beginning. */
function chosenTimes(positions: Uint32Array, tokens: number): number[] {
  const first = positions.findIndex((position) => position >= BEGINNING * tokens);
  if (first < 0) return [];
  const late = positions.length - first;
  const wanted = Math.min(TIMES, late);
  return Array.from({ length: wanted }, (_, i) => first + Math.floor((i * late) / wanted));
}

/** Pairs 0..time in the order in which larger budgets take them in: sinks, the newest, then by score. */
function keepingOrder(
  features: Float32Array,
  weights: readonly number[],
  time: number,
): Uint32Array {
  const sinks = Math.min(SINKS, time + 1);
  const first = Math.max(sinks, time - WINDOW + 1);
  const scores = new Float64Array(first - sinks);
  for (let n = 0; n < scores.length; n++) {
    let score = 0;
    for (let i = 0, at = (sinks + n) * FEATURES; i < FEATURES; i++, at++)
      score += features[at]! * weights[i]!;
    scores[n] = score;
  }
  const order = new Uint32Array(time + 1);
  let n = 0;
  for (; n < sinks; n++) order[n] = n;
  for (let j = time; j >= first; j--) order[n++] = j;
  const rest = Uint32Array.from(scores, (_, i) => i).sort((a, b) => scores[b]! - scores[a]!);
  for (const i of rest) order[n++] = sinks + i;
  return order;
}

/**
 * Attention of `queries` [r, D] over the first pairs of `order`, as many as each budget, and over all: [B + 1][r D].
 * The pairs that a budget leaves out attend as their mean, as in the cache (shaders/lib/remainder.wgsl).
 */
function keptAttention(
  { keys, values }: HeadSequence,
  queries: Float32Array,
  dim: number,
  order: Uint32Array,
): Float32Array[] {
  const out = [...LOSS_BUDGETS, 0].map(() => new Float32Array(queries.length));
  const rests = LOSS_BUDGETS.map((budget) => ({
    count: Math.max(0, order.length - budget),
    keys: sumOf(keys, dim, order.subarray(budget)),
    values: sumOf(values, dim, order.subarray(budget)),
  }));
  const logits = new Float32Array(order.length);
  const sum = new Float64Array(dim);
  for (let at = 0; at < queries.length; at += dim) {
    let highest = Number.NEGATIVE_INFINITY;
    for (let n = 0; n < order.length; n++) {
      let dot = 0;
      for (let i = 0, k = order[n]! * dim; i < dim; i++, k++) dot += queries[at + i]! * keys[k]!;
      logits[n] = dot / Math.sqrt(dim);
      if (logits[n]! > highest) highest = logits[n]!;
    }
    sum.fill(0);
    let mass = 0;
    const store = (index: number): void => {
      const rest = rests[index];
      let weight = 0;
      if (rest && rest.count > 0) {
        let dot = 0;
        for (let i = 0; i < dim; i++) dot += queries[at + i]! * rest.keys[i]!;
        const logit = dot / rest.count / Math.sqrt(dim) + REMAINDER_BIAS;
        weight = Math.exp(logit - highest); // of each of its pairs
      }
      const all = mass + weight * (rest?.count ?? 0);
      // What a head attends to may all be gone: then nothing of the sum is left to share out.
      const scale = 1 / Math.max(all, SMALLEST_MASS);
      for (let i = 0; i < dim; i++)
        out[index]![at + i] = (sum[i]! + weight * (rest?.values[i] ?? 0)) * scale;
    };
    let budget = 0;
    for (let n = 0; n < order.length; n++) {
      if (n === LOSS_BUDGETS[budget]) store(budget++);
      const weight = Math.exp(logits[n]! - highest);
      mass += weight;
      for (let i = 0, v = order[n]! * dim; i < dim; i++, v++) sum[i]! += weight * values[v]!;
    }
    for (; budget < out.length; budget++) store(budget);
  }
  return out;
}

/** [D]: the sum of the vectors [T, D] that `chosen` names. */
function sumOf(vectors: Float32Array, dim: number, chosen: Uint32Array): Float64Array {
  const sum = new Float64Array(dim);
  for (const n of chosen) for (let i = 0, at = n * dim; i < dim; i++, at++) sum[i]! += vectors[at]!;
  return sum;
}

/** The same as in shaders/lib/remainder.wgsl. */
const REMAINDER_BIAS = 0.6;

/** Keeps a quotient finite. */
const SMALLEST_MASS = 1e-30;

/** |W (a - b)|. */
function distance(a: Float32Array, b: Float32Array, gram: Float32Array): number {
  const size = a.length;
  const difference = new Float32Array(size);
  let any = false;
  for (let i = 0; i < size; i++) {
    difference[i] = a[i]! - b[i]!;
    any ||= difference[i] !== 0;
  }
  if (!any) return 0;
  let squares = 0;
  for (let i = 0; i < size; i++) {
    let sum = 0;
    for (let j = 0, at = i * size; j < i; j++, at++) sum += gram[at]! * difference[j]!;
    squares += difference[i]! * (2 * sum + gram[i * size + i]! * difference[i]!);
  }
  return Math.sqrt(Math.max(0, squares));
}
