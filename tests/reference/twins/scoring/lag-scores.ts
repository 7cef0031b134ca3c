import type { Pair } from "../pages/paged-slab.ts";

export interface LagCase {
  sinks: number;
  /** Tokens per chunk. */
  lag: number;
  /** Position of the newest token. */
  last: number;
  /** Scores that are there are another policy's. */
  anew?: boolean;
}

type Vector = ArrayLike<number>;

/** Twin of shaders/scoring/lag_scores.wgsl in f64: the scores of one kv head's candidates. */
export function lagScores(candidates: readonly Pair[], c: LagCase): number[] {
  const { sinks, lag, last } = c;
  const anew = c.anew === true || candidates.length === last + 1;
  const chunkOf = (position: number) =>
    position < sinks ? -1 : Math.floor((position - sinks) / lag);
  const ready = Math.floor((last + 1 - sinks) / lag) - 1;
  const scores = candidates.map(({ score }) => score);
  const chunks = new Map<number, number[]>();
  candidates.forEach(({ position }, i) => {
    const chunk = chunkOf(position);
    chunks.set(chunk, [...(chunks.get(chunk) ?? []), i]);
    if (anew && (chunk < 0 || chunk >= ready)) scores[i] = position;
  });
  for (const [chunk, members] of chunks) {
    if (chunk < 0 || chunk >= ready) continue;
    if (!anew && members.every((i) => candidates[i]!.score < 1)) continue;
    const next = chunks.get(chunk + 1) ?? [];
    const part = (of: (pair: Pair) => Vector): number[] =>
      strayed(
        members.map((i) => of(candidates[i]!)),
        next.map((i) => of(candidates[i]!)),
      );
    const [keys, values] = [part(({ key }) => key), part(({ value }) => value)];
    const spreads = keys.map((x, i) => x + values[i]!);
    members.forEach((i, m) => {
      const above = members.filter(
        (j, n) =>
          spreads[n]! > spreads[m]! ||
          (spreads[n] === spreads[m] && candidates[j]!.position > candidates[i]!.position),
      );
      scores[i] = (lag - 1 - above.length) / lag;
    });
  }
  return scores;
}

/** softmax over `members` of the deviation over channels, each put to the range that `next` has there. */
function strayed(members: readonly Vector[], next: readonly Vector[]): number[] {
  const spreads = members.map((vector) => {
    const x = Array.from(vector, (v, d) => {
      const there = next.map((other) => other[d]!);
      const low = Math.min(...there);
      const range = Math.max(...there) - low;
      return range > 0 ? (v - low) / range : 0;
    });
    const mean = x.reduce((a, b) => a + b, 0) / x.length;
    return Math.sqrt(x.reduce((a, b) => a + (b - mean) ** 2, 0) / (x.length - 1));
  });
  const most = Math.max(...spreads);
  const sum = spreads.reduce((a, b) => a + Math.exp(b - most), 0);
  return spreads.map((spread) => Math.exp(spread - most) / sum);
}
