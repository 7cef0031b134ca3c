import { type Calibration, type HeadLoss, SCORE_WEIGHTS } from "../src/cache/filters-file.ts";
import { heatMap, lineChart } from "../src/report/charts.ts";
import { escapeHtml } from "../src/report/escape-html.ts";
import { htmlPage, section, table } from "../src/report/html.ts";
import { cosines } from "./agreement.ts";
import type { CalibratedFilters } from "./calibrate.ts";

export interface ReportContext {
  readonly model: { readonly name: string; readonly sha256: string };
  /** Tokens that were read. */
  readonly tokens: number;
  readonly compare?: { readonly name: string; readonly calibration: Calibration } | undefined;
}

/** One self-contained page: what was calibrated, and how far it can be trusted. */
export function calibrationReport(result: CalibratedFilters, context: ReportContext): string {
  const { model, tokens } = context;
  const { layers, kvHeads, headDim, samples, seed } = result;
  const facts: [string, string][] = [
    ["Model", model.name],
    ["SHA-256", model.sha256],
    ["Heads", `${layers} layers x ${kvHeads} kv heads x ${headDim} dimensions`],
    ["Sample", `${samples} of ${tokens} tokens per head, seed ${seed}`],
  ];
  return htmlPage(`Calibration of ${model.name}`, [
    `<h1>Calibration of ${escapeHtml(model.name)}</h1>`,
    table(["what", "value"], facts),
    explainedPart(result),
    ...(result.agreement ? [halvesPart(result), convergencePart(result)] : []),
    ...(context.compare ? [comparePart(result, context.compare)] : []),
    ...(result.statistics.ageFit ? [agePart(result.statistics.ageFit)] : []),
    ...(result.statistics.scoreFit ? [scorePart(result.statistics.scoreFit)] : []),
    ...(result.statistics.headLoss ? [lossPart(result.statistics.headLoss)] : []),
  ]);
}

/** `figures` are HTML: a line each. */
const part = (title: string, figures: string, note: string, chart: string): string =>
  section(title, `<p>${note}</p><p class="soft">${figures}</p>${chart}`);

interface Grid {
  readonly title: string;
  readonly lowest: number;
  readonly highest: number;
  readonly format: (value: number) => string;
}

/** A cell per head, layers from left to right. */
const headGrid = (
  values: readonly (readonly number[])[],
  { title, lowest, highest, format }: Grid,
): string =>
  heatMap({
    title: `${title}, from ${format(lowest)} or less to ${format(highest)}`,
    rowLabel: "kv head / layer",
    columns: values.map((_, layer) => String(layer)),
    rows: (values[0] ?? []).map((_, head) => ({
      name: String(head),
      cells: values.map((row, layer) => ({
        good: (row[head]! - lowest) / (highest - lowest),
        text: "",
        hint: `layer ${layer}, kv head ${head}: ${format(row[head]!)}`,
      })),
    })),
  });

function explainedPart({ explained }: CalibratedFilters): string {
  return part(
    "Explained share",
    summary(explained.flat(), percent),
    "The part of the queries' summed squares along their first direction, which is the filter. Where it is small, one direction says little about what the head looks for.",
    headGrid(explained, { title: "explained share", lowest: 0, highest: 1, format: percent }),
  );
}

function halvesPart({ agreement }: CalibratedFilters): string {
  const halves = agreement!.halves;
  return part(
    "Two halves of the sample",
    summary(halves.flat(), cosineText),
    "Cosine between the filters that two disjoint halves of the queries give. Near 1 the sample is large enough. A head far below has queries on both sides of its direction, so that the sign is decided by few of them.",
    headGrid(halves, { title: "cosine", lowest: 0.9, highest: 1, format: cosineText }),
  );
}

function convergencePart({ agreement, samples }: CalibratedFilters): string {
  const points = [...agreement!.convergence, { samples, mean: 1, lowest: 1 }];
  return part(
    "Convergence",
    agreement!.convergence
      .map(({ samples: count, mean }) => `${count}: ${cosineText(mean)}`)
      .join(" · "),
    "Cosine between the filters of the first queries of the sample and those of the whole of it: the mean over heads, and the head that agrees least. The Q-Filters paper finds results flat from about 1,000.",
    lineChart({
      title: "Cosine with the filters of the whole sample",
      xLabel: "samples per head",
      yLabel: "cosine",
      logX: true,
      lines: [
        {
          name: "mean of heads",
          color: 0,
          points: points.map((p) => ({ x: p.samples, y: p.mean })),
        },
        {
          name: "lowest head",
          color: 1,
          points: points.map((p) => ({ x: p.samples, y: p.lowest })),
        },
      ],
    }),
  );
}

function comparePart(
  { filters, layers, kvHeads, headDim }: CalibratedFilters,
  { name, calibration }: NonNullable<ReportContext["compare"]>,
): string {
  const all = cosines(filters, calibration.filters.values, headDim);
  const grid = Array.from({ length: layers }, (_, l) => all.slice(l * kvHeads, (l + 1) * kvHeads));
  return part(
    `Against ${name}`,
    summary(all, cosineText),
    "Cosine between these filters and those of the other file, made from other text.",
    headGrid(grid, { title: "cosine", lowest: 0.9, highest: 1, format: cosineText }),
  );
}

function agePart(ageFit: Float32Array): string {
  const points: [number, number][] = [];
  for (let at = 0; at < ageFit.length; at += 4) points.push([ageFit[at]!, ageFit[at + 1]!]);
  return part(
    "Importance and age",
    `a: ${summary(
      points.map(([a]) => a),
      fixed,
    )}<br>b: ${summary(
      points.map(([, b]) => b),
      fixed,
    )}`,
    "Attention received = exp(c + a z + b ln(age + 1)), fitted per kv head, z the standardised Q-Filter score. Heads to the right look for what a filter sees, heads below for what is recent.",
    lineChart({
      title: "A dot per head",
      xLabel: "a: importance",
      yLabel: "b: age",
      scatter: true,
      lines: [{ name: "heads", color: 0, points: points.map(([x, y]) => ({ x, y })) }],
    }),
  );
}

function scorePart(scoreFit: Float32Array): string {
  const lines = SCORE_NAMES.map((name, i) => {
    const weights: number[] = [];
    for (let at = i; at < scoreFit.length; at += SCORE_WEIGHTS) weights.push(scoreFit[at]!);
    return `${name}: ${summary(weights, fixed)}`;
  });
  return part(
    "The fitted score",
    lines.join("<br>"),
    "Weights of what the score of a pair adds up, fitted per kv head to the attention that the next queries give, times the length of the value.",
    "",
  );
}

function lossPart({ budgets, values }: HeadLoss): string {
  const bands = budgets.map((budget, i) => {
    const losses: number[] = [];
    for (let at = i; at < values.length; at += budgets.length) losses.push(values[at]!);
    return {
      x: budget,
      low: quantile(losses, 0.05),
      y: quantile(losses, 0.5),
      high: quantile(losses, 0.95),
    };
  });
  return part(
    "Error of the output at a budget",
    bands.map(({ x, y }) => `${x}: ${percent(y)}`).join(" · "),
    "What a head's evictions add to the layer's output, as a part of the residual stream's length, with so many pairs kept, its best by the fitted score: the median head, and from the 5th to the 95th of a hundred. A wide band is what head-wise budgets can use.",
    lineChart({
      title: "Error by budget: the median head, from the 5th to the 95th of a hundred",
      xLabel: "pairs per kv head",
      yLabel: "error",
      logX: true,
      lines: [{ name: "heads", color: 0, points: bands }],
    }),
  );
}

/** Names of the weights that are fitted. */
const SCORE_NAMES = [
  "expected logit",
  "unexplained length",
  "ln |v|",
  "ln(age + 1)",
  "likeness to other keys",
  "filter",
  "|k|",
];

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const cosineText = (cosine: number): string => cosine.toFixed(4);
const fixed = (value: number): string => value.toFixed(2);

const summary = (values: readonly number[], format: (value: number) => string): string =>
  `median ${format(quantile(values, 0.5))}, 5 to 95 %: ${format(quantile(values, 0.05))} to ${format(quantile(values, 0.95))}, lowest ${format(Math.min(...values))}`;

/** Linear between the nearest ranks. */
function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low]! + (at - low) * (sorted[high]! - sorted[low]!);
}
