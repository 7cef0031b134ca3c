import { PAGE_SLOTS } from "../../../../src/kernels/pages/cache-shape.ts";
import { rotate } from "../attention/rope.ts";
import { firstKept, type Lane, type PagedCache, type Pair } from "./paged-cache.ts";

/** The hash of the `random` policy, in [0, 1): equal to position_hash of lib/score.wgsl bit for bit. */
export function positionHash(position: number, head: number, seed: number): number {
  const pcg = (state: number): number => {
    const mixed = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
    return ((mixed >>> 22) ^ mixed) >>> 0;
  };
  const start =
    Math.imul(position, 747796405) + Math.imul(head, 2891336453) + Math.imul(seed, 277803737) + 1;
  const first = pcg(start >>> 0);
  return (pcg((Math.imul(first, 747796405) + 2891336453) >>> 0) >>> 8) / 2 ** 24;
}

/** Score of a key [D] at its position; `head` is layer * G + kv head. */
export function keyScore(
  lane: Lane,
  key: ArrayLike<number>,
  filter: ArrayLike<number>,
  position: number,
  head: number,
): number {
  let dot = 0;
  let square = 0;
  for (let d = 0; d < key.length; d += 1) {
    dot += key[d]! * filter[d]!;
    square += key[d]! ** 2;
  }
  return (
    lane.dot * dot +
    lane.norm * Math.sqrt(square) +
    lane.position * position +
    lane.random * positionHash(position, head, lane.seed)
  );
}

/** Slot of the lowest (score, position) outside window and first tokens, where `pairs` are all that fit; -1 where all are protected. */
export function findVictim(pairs: readonly Pair[], lane: Lane, position: number): number {
  const first = firstKept(lane, pairs.length);
  return pairs.reduce((best, pair, slot) => {
    if (pair.position < first || pair.position > position - lane.window) return best;
    const lowest = pairs[best];
    if (lowest === undefined || pair.score < lowest.score) return slot;
    return pair.score === lowest.score && pair.position < lowest.position ? slot : best;
  }, -1);
}

export interface KvWriteInput {
  /** D/2. */
  inverseFrequencies: ArrayLike<number>;
  /** [L, G, D]. */
  filters: Float32Array;
  lanes: readonly Lane[];
  rows: readonly { position: number; lane: number }[];
}

/** What one row gives one kv head: key turned, value as it is, score. `qkv` is the row's [(H + 2G) D]. */
export function rowPair(
  { shape, layer }: Pick<PagedCache, "shape" | "layer">,
  input: KvWriteInput,
  row: { position: number; lane: number },
  qkv: Float32Array,
  kvHead: number,
): Pair {
  const { heads, kvHeads, headDim } = shape;
  const head = layer * kvHeads + kvHead;
  const vector = (index: number) => qkv.subarray(index * headDim, (index + 1) * headDim);
  const key = rotate(vector(heads + kvHead), row.position, input.inverseFrequencies);
  const filter = input.filters.subarray(head * headDim, (head + 1) * headDim);
  return {
    key: Float32Array.from(key),
    value: vector(heads + kvHeads + kvHead),
    position: row.position,
    score: keyScore(input.lanes[row.lane]!, key, filter, row.position, head),
  };
}

/**
 * Appends a pair to a head, in the next free slot or, at capacity, in the victim's. Returns the slot, -1
 * where nothing may be evicted and nothing was written. Twin of shaders/pages/kv_write.wgsl with APPEND.
 */
export function append(cache: PagedCache, lane: number, kvHead: number, rule: Lane, pair: Pair) {
  const count = cache.count(lane, kvHead);
  if (count < cache.capacity(lane, kvHead)) {
    cache.tables[cache.row(lane, kvHead)] = count + 1;
    cache.set(lane, kvHead, count, pair);
    return count;
  }
  const slot = findVictim(cache.pairs(lane, kvHead), rule, pair.position);
  if (slot < 0) return slot;
  if (rule.remembers) cache.drop(lane, kvHead, [cache.get(lane, kvHead, slot)]);
  cache.set(lane, kvHead, slot, pair);
  return slot;
}

/** Page and slot of row r of a prompt chunk. Twin of shaders/pages/kv_write.wgsl without APPEND. */
export const chunkSlot = (kvHead: number, chunkPages: number, row: number): [number, number] => [
  kvHead * chunkPages + Math.floor(row / PAGE_SLOTS),
  row % PAGE_SLOTS,
];
