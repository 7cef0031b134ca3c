import { type Calibration, type HeadLoss, SCORE_WEIGHTS } from "../src/cache/filters-file.ts";
import { cosines } from "./agreement.ts";
import type { CalibratedFilters } from "./calibrate.ts";
import { bandChart, escapeHtml, headGrid, lineChart, scatterChart } from "./report-charts.ts";

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
    ["Sample", `${samples} of ${tokens} tokens a head, seed ${seed}`],
  ];
  const rows = facts.map(
    ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`,
  );
  const parts = [
    explainedPart(result),
    ...(result.agreement ? [halvesPart(result), convergencePart(result)] : []),
    ...(context.compare ? [comparePart(result, context.compare)] : []),
    ...(result.statistics.ageFit ? [agePart(result.statistics.ageFit)] : []),
    ...(result.statistics.scoreFit ? [scorePart(result.statistics.scoreFit)] : []),
    ...(result.statistics.headLoss ? [lossPart(result.statistics.headLoss)] : []),
  ];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Calibration of ${escapeHtml(model.name)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>Calibration of ${escapeHtml(model.name)}</h1>
<dl>${rows.join("")}</dl>
${parts.join("\n")}
</main>
</body>
</html>
`;
}

const section = (title: string, figures: string, note: string, chart: string): string =>
  `<section><h2>${title}</h2><p>${note}</p><p class="figures">${figures}</p>${chart}</section>`;

function explainedPart({ explained }: CalibratedFilters): string {
  return section(
    "Explained share",
    summary(explained.flat(), percent),
    "The part of the queries' summed squares along their first direction, which is the filter. Where it is small, one direction says little about what the head looks for.",
    headGrid(explained, { lowest: 0, highest: 1, format: percent }),
  );
}

function halvesPart({ agreement }: CalibratedFilters): string {
  const halves = agreement!.halves;
  return section(
    "Two halves of the sample",
    summary(halves.flat(), cosineText),
    "Cosine between the filters that two disjoint halves of the queries give. Near 1 the sample is large enough. A head far below has queries on both sides of its direction, so that the sign is decided by few of them.",
    headGrid(halves, { lowest: 0.9, highest: 1, format: cosineText }),
  );
}

function convergencePart({ agreement, samples }: CalibratedFilters): string {
  const points = [...agreement!.convergence, { samples, mean: 1, lowest: 1 }];
  return section(
    "Convergence",
    agreement!.convergence
      .map(({ samples: count, mean }) => `${count}: ${cosineText(mean)}`)
      .join(" · "),
    "Cosine between the filters of the first queries of the sample and those of the whole of it: the mean over heads, and the head that agrees least. The Q-Filters paper finds results flat from about 1,000.",
    lineChart(
      [
        { name: "mean of heads", points: points.map((p) => [p.samples, p.mean]) },
        { name: "lowest head", points: points.map((p) => [p.samples, p.lowest]) },
      ],
      { x: "samples a head", y: "cosine", highest: 1 },
    ),
  );
}

function comparePart(
  { filters, layers, kvHeads, headDim }: CalibratedFilters,
  { name, calibration }: NonNullable<ReportContext["compare"]>,
): string {
  const all = cosines(filters, calibration.filters.values, headDim);
  const grid = Array.from({ length: layers }, (_, l) => all.slice(l * kvHeads, (l + 1) * kvHeads));
  return section(
    `Against ${escapeHtml(name)}`,
    summary(all, cosineText),
    "Cosine between these filters and those of the other file, made from other text.",
    headGrid(grid, { lowest: 0.9, highest: 1, format: cosineText }),
  );
}

function agePart(ageFit: Float32Array): string {
  const points: [number, number][] = [];
  for (let at = 0; at < ageFit.length; at += 4) points.push([ageFit[at]!, ageFit[at + 1]!]);
  return section(
    "Importance and age",
    `a: ${summary(
      points.map(([a]) => a),
      fixed,
    )}<br>b: ${summary(
      points.map(([, b]) => b),
      fixed,
    )}`,
    "Attention received = exp(c + a z + b ln(age + 1)), fitted a kv head, z the standardised Q-Filter score. Heads to the right look for what a filter sees, heads below for what is recent.",
    scatterChart(points, { x: "a: importance", y: "b: age" }),
  );
}

function scorePart(scoreFit: Float32Array): string {
  const lines = SCORE_NAMES.map((name, i) => {
    const weights: number[] = [];
    for (let at = i; at < scoreFit.length; at += SCORE_WEIGHTS) weights.push(scoreFit[at]!);
    return `${name}: ${summary(weights, fixed)}`;
  });
  return section(
    "The fitted score",
    lines.join("<br>"),
    "Weights of what the score of a pair adds up, fitted a kv head to the attention that the next queries give, times the length of the value.",
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
      middle: quantile(losses, 0.5),
      high: quantile(losses, 0.95),
    };
  });
  return section(
    "Error of the output at a budget",
    bands.map(({ x, middle }) => `${x}: ${percent(middle)}`).join(" · "),
    "What a head's evictions add to the layer's output, as a part of the residual stream's length, with so many pairs kept, its best by the fitted score: the median head, and from the 5th to the 95th of a hundred. A wide band is what head-wise budgets can use.",
    bandChart(bands, { x: "pairs a kv head", y: "error" }),
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

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --dim: #60646c; --paper: #ffffff; --line: #d9dbe0;
  --one: #0b68cb; --two: #c2410c; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --dim: #a8adb5; --paper: #16181b; --line: #363a41;
  --one: #6cb2ff; --two: #ff9a62; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 52rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.15rem; margin: 2.5rem 0 0.25rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; font-size: 0.9rem; }
dt { color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
p { margin: 0.25rem 0 0.5rem; max-width: 44rem; } .figures { color: var(--dim); font-size: 0.9rem; }
svg { width: 100%; height: auto; display: block; font: 12px system-ui, sans-serif; }
svg text { fill: var(--dim); } .axis { stroke: var(--line); } .one { stroke: var(--one); fill: none; stroke-width: 2; }
.two { stroke: var(--two); fill: none; stroke-width: 2; stroke-dasharray: 5 3; }
.dot { fill: var(--one); fill-opacity: 0.7; } .band { fill: var(--one); fill-opacity: 0.2; }
.cell { fill: var(--one); } .frame { fill: none; stroke: var(--line); } .two-text { fill: var(--two); } .one-text { fill: var(--one); }
`;
