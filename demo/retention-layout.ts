import type { Retention } from "../src/api/types.ts";

/** One bar of the strip: tokens [from, to) and their mean share of heads that keep them, 0..1. */
export interface Cell {
  from: number;
  to: number;
  share: number;
}

export interface StripLayout {
  rows: number;
  /** Bars a row. */
  columns: number;
  cells: Cell[];
}

const MIN_BAR_PX = 3;
const MAX_BAR_PX = 9;
const MAX_ROWS = 3;

/** Fits any number of tokens into at most three rows of bars at least 3 px wide; then tokens share bars. */
export function layOut(retention: Retention, width: number): StripLayout {
  const { kept, heads } = retention;
  const count = kept.length;
  const fitting = (barWidth: number): number => Math.max(1, Math.floor(width / barWidth));
  let rows = 1;
  while (rows < MAX_ROWS && count > rows * fitting(rows === 1 ? 5 : MIN_BAR_PX)) rows++;
  const per = Math.max(1, Math.ceil(count / (rows * fitting(MIN_BAR_PX))));
  const cells: Cell[] = [];
  for (let from = 0; from < count; from += per) {
    const to = Math.min(count, from + per);
    let sum = 0;
    for (let i = from; i < to; i++) sum += kept[i]!;
    cells.push({ from, to, share: heads === 0 ? 0 : sum / (heads * (to - from)) });
  }
  const columns = Math.max(Math.ceil(cells.length / rows), fitting(MAX_BAR_PX));
  return { rows, columns, cells };
}

export interface RetentionSummary {
  tokens: number;
  /** Tokens that every head keeps, that some keep, and that none keeps. */
  whole: number;
  part: number;
  gone: number;
  /** Mean share of heads that keep a token, 0..1. */
  share: number;
}

export function summarise({ kept, heads }: Retention): RetentionSummary {
  const summary = { tokens: kept.length, whole: 0, part: 0, gone: 0, share: 0 };
  let sum = 0;
  for (const count of kept) {
    sum += count;
    if (count === 0) summary.gone++;
    else if (count >= heads) summary.whole++;
    else summary.part++;
  }
  if (kept.length > 0 && heads > 0) summary.share = sum / (kept.length * heads);
  return summary;
}
