import { armText } from "../types.ts";
import type { EvalReport } from "./report.ts";
import type { Condition, Metric, Row } from "./results.ts";
import { streamHead, streamRows, streamTitle } from "./stream-table.ts";

export function figure(metric: Metric, value: number): string {
  if (metric === "score" || metric === "top-1 agreement") return `${(100 * value).toFixed(1)} %`;
  return value.toFixed(metric === "perplexity" ? 2 : 4);
}

export const interval = ({ metric, low, high }: Row): string =>
  low === undefined || high === undefined
    ? "-"
    : `${figure(metric, low)} to ${figure(metric, high)}`;

export function conditionText({ tokens, length, depth, ask }: Condition): string {
  const parts = [
    tokens === undefined ? "" : `${tokens} tokens`,
    length === undefined ? "" : `${length} tokens`,
    depth === undefined ? "" : `depth ${Math.round(100 * depth)} %`,
    ask === undefined ? "" : ask === "in" ? "question in the prompt" : "asked after compression",
  ];
  return parts.filter(Boolean).join(", ");
}

/** How many times fewer pairs than tokens, of a task with a length: "4x". */
export function ratioText({ condition: { length }, arm: { budget } }: Row): string {
  if (length === undefined || budget === "full") return "uncompressed";
  const ratio = length / budget;
  const whole = Math.round(ratio);
  // A budget is a whole number: 1000 tokens at 16x are 63 pairs.
  return `${Math.abs(ratio / whole - 1) < 0.02 ? whole : ratio.toFixed(1)}x`;
}

export const bytesText = (bytes: number): string => Math.round(bytes).toLocaleString("en-US");

const markdown = (rows: readonly (readonly string[])[]): string => {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((cells) => cells[column]!.length)),
  );
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  const [head, ...body] = rows;
  return [
    line(head!),
    `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`,
    ...body.map(line),
  ].join("\n");
};

/** Rows of one task and metric under each other. */
export function sections(rows: readonly Row[]): { task: string; metric: Metric; rows: Row[] }[] {
  const found = new Map<string, { task: string; metric: Metric; rows: Row[] }>();
  for (const row of rows) {
    const key = `${row.task} ${row.metric}`;
    const section = found.get(key) ?? { task: row.task, metric: row.metric, rows: [] };
    section.rows.push(row);
    found.set(key, section);
  }
  return [...found.values()];
}

export const HEAD = [
  "what",
  "policy",
  "pairs per head",
  "value",
  "95 %",
  "uncompressed",
  "n",
  "cache bytes",
  "uncompressed bytes",
];

export const rowCells = (row: Row): string[] => [
  conditionText(row.condition),
  armText(row.arm),
  row.pairs.toFixed(0),
  figure(row.metric, row.value),
  interval(row),
  row.ceiling === undefined ? "-" : figure(row.metric, row.ceiling),
  String(row.n),
  bytesText(row.bytes),
  row.bytesFull === undefined ? "-" : bytesText(row.bytesFull),
];

/** The report's figures as Markdown tables, for src/eval/RESULTS.md. */
export function markdownTables({ rows, streams, command, model, notices }: EvalReport): string {
  const tables = sections(rows).map(
    ({ task, metric, rows }) =>
      `### ${task}: ${metric}\n\n${markdown([HEAD, ...rows.map(rowCells)])}`,
  );
  const byPosition = (streams ?? []).map(
    (set) => `### ${streamTitle(set)}\n\n${markdown([streamHead(set), ...streamRows(set)])}`,
  );
  return [`${model.name}: \`${command}\``, ...notices, ...byPosition, ...tables].join("\n\n");
}
