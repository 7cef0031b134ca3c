import type { HeadLoss } from "../filters-file.ts";

/** Pairs by which budgets differ: a page. */
const STEP = 32;
/** No head gets more than so many times the mean. */
const MOST = 8;

/** What second readings lose where a document is so long that a head may keep all of it: 8 times the mean budget. */
export const ofRereads = ({ budgets, values }: HeadLoss, budget: number): HeadLoss => {
  const scale = (MOST * budget) / STEP / budgets[budgets.length - 1]!;
  return { budgets: budgets.map((pairs) => STEP * Math.round(scale * pairs)), values };
};

/** The cache that head budgets are made for. */
export interface HeadBudgetRequest {
  /** Mean pairs per head. */
  readonly budget: number;
  /** Pairs that every head must have: more than are protected. */
  readonly least: number;
  /** [L]: whether the budget governs a layer. */
  readonly governed: readonly boolean[];
}

/**
 * Budgets of each head [L][G] that add up to `budget` per head of the governed layers: after a page or `least` for
 * each, pages go where they lower the squared error of the layer's output most, as measured at calibration: the
 * errors of heads add up in squares, and the answer's distribution departs with the square of the error. None gets
 * more than the largest budget measured; of a mean beyond it, all get the same.
 */
export function headBudgets(
  { budgets, values }: HeadLoss,
  kvHeads: number,
  { budget, least, governed }: HeadBudgetRequest,
): number[][] {
  const out = governed.map(() => new Array<number>(kvHeads).fill(budget));
  const measured = budgets[budgets.length - 1] ?? 0;
  const floor = STEP * Math.ceil(Math.max(STEP, least) / STEP);
  const most = Math.min(STEP * Math.floor((MOST * budget) / STEP), measured);
  if (floor >= budget || budget >= most) return out;
  const stretches: (Stretch & { readonly layer: number; readonly g: number })[] = [];
  let left = 0;
  for (const [layer, is] of governed.entries()) {
    if (!is) continue;
    for (let g = 0; g < kvHeads; g++) {
      const at = (layer * kvHeads + g) * budgets.length;
      const losses = values.subarray(at, at + budgets.length).map((error) => error * error);
      for (const stretch of convexHull(budgets, losses, floor, most))
        stretches.push({ ...stretch, layer, g });
      out[layer]![g] = floor;
      left += budget - floor;
    }
  }
  // One head's gains only fall, so its stretches come in order; a stable sort keeps equal ones in order too.
  stretches.sort((a, b) => b.gain - a.gain);
  for (const { layer, g, pairs } of stretches) {
    const taken = Math.min(pairs, left);
    out[layer]![g]! += taken;
    left -= taken;
  }
  return out;
}

/** Pairs from one budget to a larger one, of which each lowers the error alike. */
interface Stretch {
  readonly pairs: number;
  /** Squared error less for one pair more. */
  readonly gain: number;
}

/** The largest convex function below the measured points, from `floor` to `most`: noise would starve a head. */
function convexHull(
  x: readonly number[],
  y: ArrayLike<number>,
  floor: number,
  most: number,
): Stretch[] {
  const hull: [number, number][] = [];
  const slope = ([ax, ay]: [number, number], [bx, by]: [number, number]) => (by - ay) / (bx - ax);
  for (const [i, budget] of x.entries()) {
    const point: [number, number] = [budget, y[i]!];
    while (
      hull.length > 1 &&
      slope(hull[hull.length - 2]!, hull[hull.length - 1]!) >= slope(hull[hull.length - 1]!, point)
    )
      hull.pop();
    hull.push(point);
  }
  return hull.slice(1).flatMap((end, i) => {
    const start = hull[i]!;
    const pairs = Math.min(end[0], most) - Math.max(start[0], floor);
    return pairs > 0 ? [{ pairs, gain: -slope(start, end) }] : [];
  });
}
