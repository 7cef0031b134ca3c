/** The most likely token; the lower id of two that are equal. */
export function highest(logits: Float32Array): number {
  let best = 0;
  for (let v = 1; v < logits.length; v += 1) if (logits[v]! > logits[best]!) best = v;
  return best;
}

interface Compared {
  /** KL(first || this) in nats. */
  readonly kl: number;
  /** Whether the most likely token is the first row's. */
  readonly same: boolean;
}

/** Each row of logits [V] against the first one. */
export function compareRows(rows: readonly Float32Array[]): Compared[] {
  const [reference] = rows;
  if (!reference) return [];
  const top = highest(reference);
  const normal = logSum(reference);
  const p = Float64Array.from(reference, (logit) => Math.exp(logit - normal));
  return rows.map((row) => {
    if (row === reference) return { kl: 0, same: true };
    const shift = logSum(row) - normal;
    let kl = 0;
    for (let v = 0; v < row.length; v += 1) kl += p[v]! * (reference[v]! - row[v]! + shift);
    return { kl: Math.max(0, kl), same: highest(row) === top };
  });
}

/** log(sum(exp(logits))) */
function logSum(logits: Float32Array): number {
  const most = logits[highest(logits)]!;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - most);
  return most + Math.log(sum);
}
