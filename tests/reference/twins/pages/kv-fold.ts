import { rotate } from "../attention/rope.ts";
import type { PagedCache } from "./paged-cache.ts";

/** One fold of a position: halved below 2 S, else S less. */
const folded = (position: number, stride: number): number =>
  position < 2 * stride ? Math.floor(position / 2) : position - stride;

/**
 * Where each token of a text stands [tokens] after `folds` folds, step by step: a token comes in at the end, and what is there is
 * folded as soon as the end reaches 2 S + S, or `early` tokens before. Twin of ropePosition in src/kernels/pages/fold.ts.
 */
export function positionsStepByStep(
  tokens: number,
  folds: number,
  stride: number,
  early = 0,
): number[] {
  const standing: number[] = [];
  let next = 0;
  const fold = (): void => {
    for (const [i, position] of standing.entries()) standing[i] = folded(position, stride);
    next -= stride;
  };
  let left = folds;
  for (let i = 0; i < tokens; i += 1) {
    if (left > 0 && next === 3 * stride - early) {
      fold();
      left -= 1;
    }
    standing.push(next);
    next += 1;
  }
  while (left > 0) {
    fold();
    left -= 1;
  }
  return standing;
}

export interface FoldInput {
  /** Folds with the one that is carried out. */
  folds: number;
  /** S */
  stride: number;
  /** [D/2] */
  inverseFrequencies: ArrayLike<number>;
}

/** Carries out the latest fold of a kv head's keys, and of what it has dropped. Twin of shaders/pages/kv_fold.wgsl. */
export function kvFold(
  cache: PagedCache,
  lane: number,
  kvHead: number,
  { folds, stride, inverseFrequencies }: FoldInput,
): void {
  const { headDim } = cache.shape;
  const pairs = cache.pairs(lane, kvHead);
  const most = Math.max(0, ...pairs.map(({ position }) => position)) + 1;
  const before = positionsStepByStep(most, folds - 1, stride);
  const after = positionsStepByStep(most, folds, stride);
  pairs.forEach((pair, slot) => {
    const by = after[pair.position]! - before[pair.position]!;
    if (by === 0) return;
    const key = Float32Array.from(rotate(pair.key, by, inverseFrequencies));
    cache.set(lane, kvHead, slot, { ...pair, key });
  });
  const sums = cache.remainder(lane, kvHead).subarray(1, 1 + headDim);
  sums.set(rotate(sums, -stride, inverseFrequencies));
}
