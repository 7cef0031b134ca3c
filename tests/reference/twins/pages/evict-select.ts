import { firstKept } from "./paged-cache.ts";

/** What evict_select looks at of a slot or a row of the chunk. */
export interface Pair {
  position: number;
  score: number;
}

export interface EvictionCase {
  slots: readonly Pair[];
  rows: readonly Pair[];
  capacity: number;
  window: number;
  sinks: number;
  /** First tokens that are the system prompt. Default 0. */
  system?: number;
  /** Position of the newest token. */
  last: number;
}

export interface Selection {
  /** Indices of the survivors among slots, then rows, ascending. */
  kept: number[];
  /** [source, destination], as the shader writes them. */
  moves: [number, number][];
  count: number;
}

const CHUNK_SOURCE = 0x80000000;

/** Twin of shaders/pages/evict_select.wgsl: a full sort in place of the radix select. */
export function evictSelect({
  slots,
  rows,
  capacity,
  window,
  sinks,
  system = 0,
  last,
}: EvictionCase): Selection {
  const all = [...slots, ...rows];
  const first = firstKept({ sinks, system, window }, capacity);
  const guarded = ({ position }: Pair) => position < first || position > last - window;
  const rank = ({ score }: Pair) => (Number.isNaN(score) ? -Infinity : score);
  const order = all.map((_, index) => index);
  order.sort((i, j) => {
    const a = all[i]!;
    const b = all[j]!;
    if (guarded(a) !== guarded(b)) return guarded(a) ? -1 : 1;
    if (!guarded(a) && rank(a) !== rank(b)) return rank(a) > rank(b) ? -1 : 1;
    return b.position - a.position;
  });
  const stays = new Set(order.slice(0, capacity));
  const settled = Math.min(slots.length, capacity);
  const count = stays.size;
  const sources: number[] = [];
  const destinations: number[] = [];
  for (let i = 0; i < all.length; i++) {
    if (stays.has(i) && i >= settled)
      sources.push(i < slots.length ? i : CHUNK_SOURCE + (i - slots.length));
    if (i < count && !(stays.has(i) && i < settled)) destinations.push(i);
  }
  return {
    kept: [...stays].sort((a, b) => a - b),
    moves: sources.map((source, i) => [source, destinations[i]!]),
    count,
  };
}
