import type { HeadLoss } from "../filters-file.ts";
import type { HeadBudgetRequest, HeadBudgets } from "./head-capacities.ts";

/** Pairs by which budgets differ: a page. */
const STEP = 32;
/** No head gets more than so many times the mean. */
const MOST = 8;

/** Second readings weigh so many times what is lost of the next tokens. */
const REREAD_WEIGHT = 3;

/**
 * What heads lose of the next tokens and of second readings, each as a share of what all of them lose together with `budget` pairs. A
 * document is taken to be so long that a head may keep all of it: 8 budgets.
 */
export function ofBothReadings(loss: HeadLoss, reread: HeadLoss, budget: number): HeadLoss {
  const scale = (MOST * budget) / STEP / reread.budgets.at(-1)!;
  const scaled = reread.budgets.map((pairs) => STEP * Math.round(scale * pairs));
  const curves = [loss, { budgets: scaled, values: reread.values }] as const;
  const heads = Array.from({ length: loss.values.length / loss.budgets.length }, (_, head) => head);
  const budgets = [...new Set(curves.flatMap((curve) => curve.budgets))]
    .filter((pairs) => pairs >= STEP)
    .sort((a, b) => a - b);
  const sums = curves.map((curve) =>
    heads.reduce((sum, head) => sum + squareAt(curve, head, budget), 0),
  );
  const shareAt = (i: 0 | 1, head: number, pairs: number): number =>
    squareAt(curves[i], head, pairs) / (sums[i] || 1);
  const both = (head: number) => (pairs: number) =>
    Math.sqrt(shareAt(0, head, pairs) + REREAD_WEIGHT * shareAt(1, head, pairs));
  return { budgets, values: Float32Array.from(heads.flatMap((head) => budgets.map(both(head)))) };
}

/** The squared loss of one head with so many pairs, between those that were measured. */
function squareAt({ budgets, values }: HeadLoss, head: number, pairs: number): number {
  const square = (i: number): number => values[head * budgets.length + i]! ** 2;
  const next = budgets.findIndex((larger) => larger > pairs);
  if (next < 1) return square(next < 0 ? budgets.length - 1 : 0);
  const [from, to] = [budgets[next - 1]!, budgets[next]!];
  return square(next - 1) + ((square(next) - square(next - 1)) * (pairs - from)) / (to - from);
}

/** Divides budgets by what a calibration measured: by both losses where it has both. */
export const headBudgetsOf =
  (loss: HeadLoss, kvHeads: number): HeadBudgets =>
  (request) => {
    const { reread } = loss;
    const own = reread ? ofBothReadings(loss, reread, request.budget) : loss;
    return headBudgets(own, kvHeads, request);
  };

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
