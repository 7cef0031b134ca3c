import { keyText, type Report, type Result } from "./report.ts";

export interface Change {
  key: string;
  unit: string;
  before: number;
  after: number;
  /** after / before of what is better when higher, its inverse otherwise: below 1 is worse. */
  factor: number;
  verdict: "better" | "worse" | "same";
}

export interface Comparison {
  changes: Change[];
  /** In the earlier report only. */
  gone: string[];
  /** In the later report only. */
  added: string[];
}

/** Smallest change of a median that counts. */
const NOISE = 0.05;

/**
 * Compares medians. A change counts if it exceeds 5 % and the two sets of samples do not overlap: repeats of
 * one run show what is noise. Throws Error where the schemas differ.
 */
export function compareReports(
  before: Pick<Report, "schema" | "results">,
  after: Pick<Report, "schema" | "results">,
): Comparison {
  if (before.schema !== after.schema)
    throw new Error(`the reports differ in schema: ${before.schema} and ${after.schema}`);
  const earlier = new Map(before.results.map((result) => [keyText(result), result]));
  const later = new Map(after.results.map((result) => [keyText(result), result]));
  const changes: Change[] = [];
  for (const [key, now] of later) {
    const then = earlier.get(key);
    if (then) changes.push(change(key, then, now));
  }
  return {
    changes,
    gone: [...earlier.keys()].filter((key) => !later.has(key)),
    added: [...later.keys()].filter((key) => !earlier.has(key)),
  };
}

function change(key: string, then: Result, now: Result): Change {
  const rising = now.median === then.median ? 1 : now.median / then.median;
  const factor = now.better === "higher" ? rising : 1 / rising;
  const apart = now.min > then.max || now.max < then.min;
  const counts = apart && !(Math.abs(factor - 1) <= NOISE);
  const verdict = !counts ? "same" : factor > 1 ? "better" : "worse";
  return { key, unit: now.unit, before: then.median, after: now.median, factor, verdict };
}

/** Lines for the terminal: what got worse first. */
export function describeComparison({ changes, gone }: Comparison): string[] {
  const of = (verdict: Change["verdict"]): Change[] =>
    changes.filter((one) => one.verdict === verdict);
  const line = ({ key, unit, before, after, factor }: Change): string =>
    `  ${key}: ${figure(before)} -> ${figure(after)} ${unit} (${factor.toFixed(2)}x)`;
  const worse = of("worse");
  const better = of("better");
  return [
    worse.length > 0 ? `REGRESSIONS: ${worse.length}` : "no regressions",
    ...worse.map(line),
    ...(better.length > 0 ? [`better: ${better.length}`, ...better.map(line)] : []),
    `same: ${of("same").length}`,
    ...(gone.length > 0 ? [`no longer measured: ${gone.join("; ")}`] : []),
  ];
}

const figure = (value: number): string => Number(value.toPrecision(4)).toLocaleString("en-US");
