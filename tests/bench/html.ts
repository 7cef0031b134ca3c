import type { Comparison } from "./compare.ts";
import { keyText, type Report, type Result } from "./report.ts";

const escapeHtml = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const figure = (value: number): string => Number(value.toPrecision(4)).toLocaleString("en-US");

const percent = (value: number | undefined): string =>
  value === undefined ? "-" : `${(100 * value).toFixed(1)} %`;

/** Bars of one metric, with a line from the least to the greatest sample. */
function plot(metric: string, results: readonly Result[]): string {
  const most = Math.max(...results.map(({ max }) => max)) || 1;
  const x = (value: number): number => 300 + (380 * value) / most;
  const bars = results.map((one, i) => {
    const y = 26 * i;
    const label = `${one.engine} ${one.length ?? ""} ${one.budget ?? ""}`;
    return (
      `<text x="292" y="${y + 15}" text-anchor="end">${escapeHtml(label)}</text>` +
      `<rect x="300" y="${y + 3}" width="${x(one.median) - 300}" height="16" fill="#58a"/>` +
      `<path d="M${x(one.min)} ${y + 11}H${x(one.max)}" stroke="#000"/>` +
      `<text x="690" y="${y + 15}">${figure(one.median)} ${one.unit}</text>`
    );
  });
  const height = 26 * results.length;
  return `<h2>${escapeHtml(metric)}</h2><svg width="860" height="${height}" font-size="12">${bars.join("")}</svg>`;
}

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<table><tr>${head.map((cell) => `<th>${escapeHtml(cell)}</th>`).join("")}</tr>${rows
    .map((row) => `<tr>${row.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`)
    .join("")}</table>`;

/** One self-contained page: no script, nothing fetched. */
export function htmlReport(report: Report, comparison?: Comparison): string {
  const { results, engines, targets, notRun, kernels, machine } = report;
  const metrics = [...new Set(results.map(({ metric }) => metric))];
  return [
    "<!doctype html><meta charset=utf-8><title>Winnow bench</title>",
    "<style>body{font:14px sans-serif;margin:2em}td,th{padding:2px 10px;text-align:left}</style>",
    `<h1>Winnow bench</h1><p>${escapeHtml(`${report.date}, ${report.browser}, ${machine.cpu}, ${machine.cores} cores, load ${machine.load.join(" ")}`)}</p>`,
    table(
      ["engine", "status", "version", "what computed"],
      Object.entries(engines).map(([name, one]) => [
        name,
        `${one.status} ${one.reason ?? ""}`,
        one.version ?? "",
        one.backend ?? "",
      ]),
    ),
    ...metrics.map((metric) =>
      plot(
        metric,
        results.filter((one) => one.metric === metric),
      ),
    ),
    "<h2>Targets</h2>",
    table(
      ["what", "wanted", "found", "met"],
      targets.map(({ what, wanted, value, met }) => [
        what,
        wanted,
        value === undefined ? "-" : figure(value),
        String(met),
      ]),
    ),
    "<h2>Not run</h2>",
    table(
      ["engine", "tokens", "why"],
      notRun.map(({ engine, length, reason }) => [engine, String(length ?? ""), reason]),
    ),
    ...(comparison
      ? [
          "<h2>Against the earlier run</h2>",
          table(
            ["what", "before", "after", "verdict"],
            comparison.changes.map(({ key, before, after, verdict }) => [
              key,
              figure(before),
              figure(after),
              verdict,
            ]),
          ),
        ]
      : []),
    ...(kernels?.plans ?? []).flatMap(({ plan, steps }) =>
      steps.map(
        (step) =>
          `<h2>${escapeHtml(`${step.name}, kernels for a ${plan.toUpperCase()}`)}</h2>${table(
            ["kernel", "ms", "of roofline"],
            step.kernels.map(({ name, ms, share }) => [name, figure(ms.median), percent(share)]),
          )}`,
      ),
    ),
    ...(kernels?.eviction
      ? [
          "<h2>What eviction takes</h2>",
          table(
            ["kernels for", "policy", "of decoding", "of prompts"],
            kernels.eviction.plans.flatMap(({ plan, costs }) =>
              costs.map(({ policy, budget, decode, prefill }) => [
                plan.toUpperCase(),
                `${policy}, budget ${budget}`,
                `${percent(decode.share)} after ${decode.history}`,
                prefill.map((one) => `${percent(one.share)} of ${one.prompt}`).join(", "),
              ]),
            ),
          ),
        ]
      : []),
    "<h2>All results</h2>",
    table(
      ["what", "samples", "unit"],
      results.map((one) => [keyText(one), one.samples.map(figure).join(", "), one.unit]),
    ),
  ].join("\n");
}
