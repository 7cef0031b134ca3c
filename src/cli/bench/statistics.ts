/** What is reported of repeated measurements. */
export interface Summary {
  n: number;
  median: number;
  min: number;
  max: number;
  /** (max - min) / median: 0 where all are equal; 0 for a single one as well. */
  spread: number;
}

/** Middle value, the mean of the middle two for an even count; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  if (sorted.length % 2 === 1) return sorted[middle]!;
  return (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Throws RangeError of nothing: a measurement that was not made has no figures. */
export function summarize(values: readonly number[]): Summary {
  if (values.length === 0) throw new RangeError("no measurements to summarise");
  const middle = median(values);
  const [min, max] = [Math.min(...values), Math.max(...values)];
  const spread = middle === 0 ? 0 : (max - min) / Math.abs(middle);
  return { n: values.length, median: middle, min, max, spread };
}
