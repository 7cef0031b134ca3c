import type { HeadMass } from "./filters-file.ts";

/** Pairs by which budgets differ: a page. */
const STEP = 32;
/** No head gets more than so many times the mean. */
const MOST = 4;

/** What a head budget is made for. */
export interface HeadBudgetRequest {
  /** Mean pairs a head. */
  readonly budget: number;
  /** Pairs that every head must have: more than are protected. */
  readonly least: number;
  /** [L]: whether the budget governs a layer. */
  readonly governed: readonly boolean[];
}

/**
 * Budgets of each head [L][G] that add up to `budget` a head of the governed layers: pages go, one after the
 * other, to the head whose attention gains most by another, as measured at calibration.
 */
export function headBudgets(
  mass: HeadMass,
  kvHeads: number,
  { budget, least, governed }: HeadBudgetRequest,
): number[][] {
  const { budgets, values } = mass;
  const size = budgets.length;
  const layers = governed.flatMap((is, layer) => (is ? [layer] : []));
  const heads = layers.flatMap((layer) =>
    Array.from({ length: kvHeads }, (_, g) => {
      const at = (layer * kvHeads + g) * size;
      const kept = concave(budgets, Array.from(values.subarray(at, at + size)));
      return { layer, g, kept, pairs: Math.min(budget, Math.max(STEP, least)) };
    }),
  );
  let left = budget * heads.length - heads.reduce((sum, { pairs }) => sum + pairs, 0);
  const most = budget * MOST;
  while (left > 0) {
    const step = Math.min(STEP, left);
    let best = heads[0]!;
    let gain = -1;
    for (const head of heads) {
      if (head.pairs + step > most) continue;
      const more = head.kept(head.pairs + step) - head.kept(head.pairs);
      // Where nothing is gained any more, heads grow alike.
      if (more > gain || (more === gain && head.pairs < best.pairs)) [best, gain] = [head, more];
    }
    best.pairs += step;
    left -= step;
  }
  const out = governed.map(() => new Array<number>(kvHeads).fill(budget));
  for (const { layer, g, pairs } of heads) out[layer]![g] = pairs;
  return out;
}

/** The least concave function above the measured points: what noise would starve a head is smoothed. */
function concave(x: readonly number[], y: readonly number[]): (at: number) => number {
  const hull: [number, number][] = [[0, 0]];
  const slope = ([ax, ay]: [number, number], [bx, by]: [number, number]) => (by - ay) / (bx - ax);
  x.forEach((_, i) => {
    const point: [number, number] = [x[i]!, y[i]!];
    while (
      hull.length > 1 &&
      slope(hull[hull.length - 2]!, hull[hull.length - 1]!) <= slope(hull[hull.length - 1]!, point)
    )
      hull.pop();
    hull.push(point);
  });
  return (at) => {
    const next = hull.findIndex(([px]) => px >= at);
    if (next < 0) return hull[hull.length - 1]![1];
    if (next === 0) return hull[0]![1];
    const [a, b] = [hull[next - 1]!, hull[next]!];
    return a[1] + slope(a, b) * (at - a[0]);
  };
}
