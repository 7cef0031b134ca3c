import { type HeatCell, heatMap, type Line, lineChart } from "../../report/charts.ts";
import { escapeHtml } from "../../report/escape-html.ts";
import { htmlPage, section, table } from "../../report/html.ts";
import { COLORS } from "../../report/style.ts";
import { totalText } from "../cost.ts";
import { armText } from "../types.ts";
import type { EvalReport } from "./report.ts";
import type { Metric, Row } from "./results.ts";
import { streamHead, streamRows, streamTitle } from "./stream-table.ts";
import type { StreamSet } from "./streams.ts";
import { conditionText, figure, HEAD, ratioText, rowCells, sections } from "./table.ts";

const unique = <T>(list: readonly T[]): T[] => [...new Set(list)];

/** A policy's colour is its place among the report's policies. */
class Palette {
  private readonly names: string[];
  constructor(rows: readonly Row[]) {
    this.names = unique(rows.map(({ arm }) => nameOf(arm))).filter((name) => name !== "full");
  }
  of(name: string): number {
    return Math.max(0, this.names.indexOf(name)) % COLORS;
  }
}

const nameOf = (arm: Row["arm"]): string => armText({ ...arm, budget: "full" });
const numberOf = (budget: Row["arm"]["budget"]): number =>
  budget === "full" ? Number.POSITIVE_INFINITY : budget;

/** Where a value lies between the worst and the best of its rows. */
function goodness(rows: readonly Row[]): (row: Row) => number {
  const values = rows.map(({ value }) => value);
  const shares = rows[0]!.metric === "score" || rows[0]!.metric === "top-1 agreement";
  const [low, high] = shares ? [0, 1] : [Math.min(...values), Math.max(...values)];
  return ({ value, better }) => {
    const share = high > low ? (value - low) / (high - low) : 1;
    return better === "higher" || high === low ? share : 1 - share;
  };
}

const heatCell = (row: Row, good: number): HeatCell => ({
  good,
  text: figure(row.metric, row.value),
  hint: `${armText(row.arm)}, ${conditionText(row.condition)}: ${figure(row.metric, row.value)}, ${row.ceiling === undefined ? "" : `uncompressed ${figure(row.metric, row.ceiling)}, `}${Math.round(row.bytes)} bytes`,
});

/** A metric over budgets, a line a policy. */
function budgetChart(title: string, rows: readonly Row[], palette: Palette): string {
  const names = unique(rows.map(({ arm }) => nameOf(arm))).filter((name) => name !== "full");
  const lines = names.map((name): Line => {
    const own = rows
      .filter(({ arm }) => nameOf(arm) === name)
      .sort((a, b) => numberOf(a.arm.budget) - numberOf(b.arm.budget));
    const points = own.map(({ arm, value, low, high }) => ({
      x: numberOf(arm.budget),
      y: value,
      low,
      high,
    }));
    return { name, color: palette.of(name), points };
  });
  return lineChart({
    title,
    xLabel: "pairs per head",
    yLabel: rows[0]!.metric,
    lines: lines.filter(({ points }) => points.every(({ x }) => Number.isFinite(x))),
    logX: true,
    ...(rows[0]!.ceiling !== undefined && { ceiling: rows[0]!.ceiling }),
  });
}

/** Policies by budgets. */
function budgetHeat(title: string, rows: readonly Row[]): string {
  const compressed = rows.filter(({ arm }) => arm.budget !== "full");
  if (compressed.length === 0) return "";
  const good = goodness(compressed);
  const budgets = unique(compressed.map(({ arm }) => numberOf(arm.budget))).sort((a, b) => a - b);
  return heatMap({
    title,
    rowLabel: "policy / pairs",
    columns: budgets.map(String),
    rows: unique(compressed.map(({ arm }) => nameOf(arm))).map((name) => ({
      name,
      cells: budgets.map((budget) => {
        const row = compressed.find(({ arm }) => nameOf(arm) === name && arm.budget === budget);
        return row && heatCell(row, good(row));
      }),
    })),
  });
}

/** Length by depth, a map an arm. */
function needleHeat(rows: readonly Row[]): string {
  const keyOf = (row: Row): string =>
    `${nameOf(row.arm)}${row.arm.budget === "full" ? "" : ` ${ratioText(row)}`}, ${row.condition.ask === "in" ? "question in the prompt" : "asked after compression"}`;
  const lengths = unique(rows.map(({ condition }) => condition.length!)).sort((a, b) => a - b);
  const depths = unique(rows.map(({ condition }) => condition.depth!)).sort((a, b) => a - b);
  const good = goodness(rows);
  return unique(rows.map(keyOf))
    .map((key) => {
      const own = rows.filter((row) => keyOf(row) === key);
      return heatMap({
        title: key,
        rowLabel: "length / depth",
        columns: depths.map((depth) => `${Math.round(100 * depth)} %`),
        rows: lengths
          .map((length) => ({
            name: String(length),
            cells: depths.map((depth) => {
              const row = own.find(
                ({ condition }) => condition.length === length && condition.depth === depth,
              );
              return row && heatCell(row, good(row));
            }),
          }))
          .filter(({ cells }) => cells.some(Boolean)),
      });
    })
    .join("");
}

/** Tasks by arms, a map for each length and way of asking. */
function taskHeat(rows: readonly Row[]): string {
  const places = unique(rows.map(({ condition }) => conditionText(condition)));
  return places
    .map((place) => {
      const own = rows.filter(({ condition }) => conditionText(condition) === place);
      const tasks = unique(own.map(({ task }) => task));
      const good = goodness(own);
      return heatMap({
        title: place,
        rowLabel: "policy and pairs / task",
        columns: tasks,
        rows: unique(own.map(({ arm }) => armText(arm))).map((name) => ({
          name,
          cells: tasks.map((task) => {
            const row = own.find((one) => one.task === task && armText(one.arm) === name);
            return row && heatCell(row, good(row));
          }),
        })),
      });
    })
    .join("");
}

function curveCharts({ curves }: EvalReport, palette: Palette): string {
  const budgets = unique(curves.map(({ arm, tokens }) => `${arm.budget} ${tokens}`));
  return budgets
    .map((key) => {
      const own = curves.filter(({ arm, tokens }) => `${arm.budget} ${tokens}` === key);
      return lineChart({
        title: `Extra loss over position, ${own[0]!.arm.budget} pairs per head`,
        xLabel: "position",
        yLabel: "nats over uncompressed",
        lines: own.map(({ arm, points }) => ({
          name: nameOf(arm),
          color: palette.of(nameOf(arm)),
          points: points.map(({ position, nats }) => ({ x: position, y: nats })),
        })),
        ceiling: 0,
      });
    })
    .join("");
}

/** Perplexity by position, over the uncompressed run's where there is one, and the table. */
function streamPart(set: StreamSet, palette: Palette): string {
  const { arms, full, ranges } = set;
  const chart = lineChart({
    title: streamTitle(set),
    xLabel: "position",
    yLabel: full ? "perplexity over uncompressed" : "perplexity",
    lines: arms.map(({ arm, bins }) => ({
      name: nameOf(arm),
      color: palette.of(nameOf(arm)),
      points: bins.map((loss, i) => ({
        x: (ranges[i]![0] + ranges[i]![1]) / 2,
        y: Math.exp(loss - (full?.bins[i] ?? 0)),
      })),
    })),
    ...(full && { ceiling: 1 }),
  });
  return `<div class="charts">${chart}</div>${table(streamHead(set), streamRows(set))}`;
}

const TEXT_METRICS: readonly Metric[] = [
  "perplexity ratio",
  "top-1 agreement",
  "KL (nats)",
  "KL, 99th percentile (nats)",
  "retained attention mass",
];

/** One self-contained page: no script, nothing fetched. */
export function htmlReport(report: EvalReport): string {
  const { rows, streams = [], model, adapter, provenance, texts, options, notices } = report;
  const palette = new Palette(rows);
  const of = (metric: Metric): Row[] => rows.filter((row) => row.metric === metric);
  const overText = TEXT_METRICS.filter((metric) => of(metric).length > 0);
  const needles = rows.filter(({ task }) => task === "needle");
  const tasks = rows.filter(({ task, metric }) => metric === "score" && task !== "needle");
  const charts = (content: string): string =>
    content === "" ? "" : `<div class="charts">${content}</div>`;
  return htmlPage(`Winnow evaluation: ${model.name}`, [
    `<h1>Winnow evaluation</h1><p>${escapeHtml(`${model.name} (${model.architecture}, ${(model.parameters / 1e6).toFixed(0)} M parameters), ${report.date}`)}</p>`,
    `<p class="soft">${escapeHtml(`${adapter.description || "unnamed adapter"}, ${report.host}; ${report.cells} cells, ${totalText(report.seconds)}; version ${provenance.version}; losses from position ${report.from} on`)}</p>`,
    `<pre>${escapeHtml(report.command)}</pre>`,
    ...notices.map((notice) => `<p>${escapeHtml(notice)}</p>`),
    section(
      "Over budgets",
      charts(
        overText.map((metric) => budgetChart(metric, of(metric), palette)).join("") +
          overText.map((metric) => budgetHeat(`${metric}: policy by budget`, of(metric))).join(""),
      ),
    ),
    section("Streams", streams.map((set) => streamPart(set, palette)).join("")),
    section("Over position", charts(curveCharts(report, palette))),
    section("Needle: length by depth", charts(needles.length > 0 ? needleHeat(needles) : "")),
    section("Tasks", charts(tasks.length > 0 ? taskHeat(tasks) : "")),
    section(
      "All figures",
      sections(rows)
        .map(
          ({ task, metric, rows }) =>
            `<h3>${escapeHtml(`${task}: ${metric}`)}</h3>${table(HEAD, rows.map(rowCells))}`,
        )
        .join(""),
    ),
    section(
      "What was run",
      table(
        ["what", "value"],
        [
          ["model SHA-256", provenance.modelSha256],
          ["filters SHA-256", provenance.filtersSha256 || "none"],
          ...texts.map(({ name, sha256 }) => [`text ${name}`, sha256]),
          ...Object.entries(options).map(([name, value]) => [name, [value].flat().join(", ")]),
        ],
      ),
    ),
    '<p class="soft">Intervals are 95 %: Student over passages, Wilson for trials that are right or wrong, bootstrap for shares.</p>',
  ]);
}
