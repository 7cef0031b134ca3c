import { defined } from "../../defined.ts";
import { taskOf } from "../evaluate.ts";
import { canonical } from "../kept.ts";
import {
  type Arm,
  type Cell,
  type KeptCell,
  massPosition,
  type PromptScore,
  type TextCell,
  type TextScore,
} from "../types.ts";
import { type Estimate, mean, quantile, scores, student } from "./statistics.ts";

/** What was run under, besides the arm. */
export interface Condition {
  readonly tokens?: number;
  readonly length?: number;
  readonly depth?: number;
  readonly ask?: string;
}

/** One figure: a metric of a task under one arm. */
export interface Row extends Estimate {
  readonly task: string;
  readonly metric: Metric;
  readonly better: "lower" | "higher";
  readonly condition: Condition;
  readonly arm: Arm;
  /** Passages or trials. */
  readonly n: number;
  /** The uncompressed run's value; missing past the trained length, where there is no such run. */
  readonly ceiling?: number;
  /** Mean bytes of the cache at the end, and of the uncompressed one where there is one. */
  readonly bytes: number;
  readonly bytesFull?: number;
  /** Mean pairs per kv head at the end. */
  readonly pairs: number;
}

export const METRICS = {
  perplexity: "lower",
  "perplexity ratio": "lower",
  "top-1 agreement": "higher",
  "KL (nats)": "lower",
  "KL, 99th percentile (nats)": "lower",
  "retained attention mass": "higher",
  score: "higher",
} as const;
export type Metric = keyof typeof METRICS;

/** Extra loss over position against the uncompressed run, mean over passages. */
export interface Curve {
  readonly arm: Arm;
  readonly tokens: number;
  readonly points: readonly { readonly position: number; readonly nats: number }[];
}

export interface Results {
  readonly rows: readonly Row[];
  readonly curves: readonly Curve[];
}

/** Positions a point of a curve stands for. */
const BIN = 32;

interface Group {
  readonly cells: readonly KeptCell[];
  /** The uncompressed cells of the same problems, where there are. */
  readonly full: readonly KeptCell[] | undefined;
  readonly condition: Condition;
  readonly arm: Arm;
}

const conditionOf = (cell: Cell): Condition =>
  cell.kind === "prompt"
    ? {
        length: cell.length,
        ...defined({ depth: cell.depth }),
        ask: cell.ask,
      }
    : { tokens: cell.tokens };

/** What must be equal for two cells to differ in nothing but their arm. */
const problemOf = ({ arm: _, ...rest }: Cell): string => canonical(rest);

/** Cells by task, condition and arm, each with the uncompressed cells of the same problems. */
function groupsOf(cells: readonly KeptCell[]): Map<string, Group[]> {
  const full = new Map<string, KeptCell>();
  for (const one of cells) if (one.cell.arm.policy === "full") full.set(problemOf(one.cell), one);
  const groups = new Map<string, { task: string; cells: KeptCell[] }>();
  for (const one of cells) {
    const task = taskOf(one.cell);
    const key = canonical([task, conditionOf(one.cell), one.cell.arm]);
    const group = groups.get(key) ?? { task, cells: [] };
    group.cells.push(one);
    groups.set(key, group);
  }
  const byTask = new Map<string, Group[]>();
  for (const { task, cells } of groups.values()) {
    const list = byTask.get(task) ?? [];
    const { cell } = cells[0]!;
    const free = cells.flatMap((one) => full.get(problemOf(one.cell)) ?? []);
    list.push({
      cells,
      full: free.length === cells.length ? free : undefined,
      condition: conditionOf(cell),
      arm: cell.arm,
    });
    byTask.set(task, list);
  }
  return byTask;
}

function row(
  task: string,
  metric: Metric,
  { cells, full, condition, arm }: Group,
  estimate: Estimate,
  ceiling: number | undefined,
): Row {
  return {
    task,
    metric,
    better: METRICS[metric],
    condition,
    arm,
    n: cells.length,
    ...estimate,
    ...(ceiling !== undefined && { ceiling }),
    bytes: mean(cells.map(({ score }) => score.bytes)),
    ...(full && { bytesFull: mean(full.map(({ score }) => score.bytes)) }),
    pairs: mean(cells.map(({ score }) => score.pairs)),
  };
}

/** Mean loss from position `from` on; loss i is that of token i + 1. */
const lossFrom = ({ score }: KeptCell, from: number): number =>
  mean((score as TextScore).nll.slice(from));

const exp = ({ value, low, high }: Estimate): Estimate => ({
  value: Math.exp(value),
  ...(low === undefined ? {} : { low: Math.exp(low) }),
  ...(high === undefined ? {} : { high: Math.exp(high) }),
});

/** An interval of something that lies between 0 and `most`. */
const within = ({ value, low, high }: Estimate, most: number): Estimate => ({
  value,
  ...(low === undefined ? {} : { low: Math.max(0, low) }),
  ...(high === undefined ? {} : { high: Math.min(most, high) }),
});

function textRows(group: Group, from: number): Row[] {
  const { cells } = group;
  const { agreement, mass } = cells[0]!.cell as TextCell;
  return [
    ...lossRows(group, from),
    ...(agreement ? agreementRows(group, from) : []),
    ...(mass ? massRows(group, from) : []),
  ];
}

function lossRows(group: Group, from: number): Row[] {
  const { cells, full } = group;
  const losses = cells.map((one) => lossFrom(one, from));
  if (!full) return [row("ppl", "perplexity", group, exp(student(losses)), undefined)];
  const ceilings = full.map((one) => lossFrom(one, from));
  const extra = student(losses.map((loss, i) => loss - ceilings[i]!));
  const ceiling = Math.exp(mean(ceilings));
  return [
    row("ppl", "perplexity", group, exp(student(losses)), ceiling),
    row("ppl", "perplexity ratio", group, exp(extra), 1),
  ];
}

function agreementRows(group: Group, from: number): Row[] {
  const over = (figure: (score: TextScore) => number): Estimate =>
    student(group.cells.map(({ score }) => figure(score as TextScore)));
  const shares = over(({ top1 }) => mean(top1!.slice(from)));
  const kl = over(({ kl }) => mean(kl!.slice(from)));
  const worst = over(({ kl }) => quantile(kl!.slice(from), 0.99));
  return [
    row("agreement", "top-1 agreement", group, within(shares, 1), 1),
    row("agreement", "KL (nats)", group, kl, 0),
    row("agreement", "KL, 99th percentile (nats)", group, worst, 0),
  ];
}

/** None where no measurement lies behind `from`. */
function massRows(group: Group, from: number): Row[] {
  const shares = group.cells.map(({ score }) =>
    (score as TextScore).mass!.filter((_, i) => massPosition(i) >= from),
  );
  if (shares.some((list) => list.length === 0)) return [];
  const estimate = within(student(shares.map(mean)), 1);
  return [row("mass", "retained attention mass", group, estimate, 1)];
}

function curveOf({ cells, arm }: Group, full: readonly KeptCell[]): Curve {
  const { tokens } = cells[0]!.cell as TextCell;
  const points: { position: number; nats: number }[] = [];
  for (let start = 0; start < tokens - 1; start += BIN) {
    const end = Math.min(start + BIN, tokens - 1);
    const extra = cells.map(({ score }, i) => {
      const own = (score as TextScore).nll.slice(start, end);
      const free = (full[i]!.score as TextScore).nll.slice(start, end);
      return mean(own) - mean(free);
    });
    points.push({ position: (start + end) / 2, nats: mean(extra) });
  }
  return { arm, tokens, points };
}

/** Figures and curves of cells; `from`: the position from which losses count. */
export function resultsOf(cells: readonly KeptCell[], from: number): Results {
  const rows: Row[] = [];
  const curves: Curve[] = [];
  for (const [task, groups] of groupsOf(cells)) {
    for (const group of groups) {
      const [{ cell }] = group.cells as readonly [KeptCell];
      if (cell.kind === "text") {
        rows.push(...textRows(group, from));
        if (cell.arm.policy !== "full" && group.full) curves.push(curveOf(group, group.full));
      } else {
        const values = group.cells.map(({ score }) => (score as PromptScore).score);
        const free = group.full?.map(({ score }) => (score as PromptScore).score);
        rows.push(row(task, "score", group, scores(values), free && mean(free)));
      }
    }
  }
  return { rows, curves };
}
