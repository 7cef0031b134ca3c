import { barChart } from "../../../src/report/charts.ts";
import { escapeHtml } from "../../../src/report/escape-html.ts";
import { htmlPage, section, table } from "../../../src/report/html.ts";
import type { Comparison } from "./compare.ts";
import { keyText, type Report, type Result } from "./report.ts";

const figure = (value: number): string => Number(value.toPrecision(4)).toLocaleString("en-US");

const percent = (value: number | undefined): string =>
  value === undefined ? "-" : `${(100 * value).toFixed(1)} %`;

const plot = (metric: string, results: readonly Result[]): string =>
  barChart(
    metric,
    results.map(({ engine, length, budget, median, min, max, unit }) => ({
      name: [engine, length, budget].filter((part) => part !== undefined).join(" "),
      value: median,
      low: min,
      high: max,
      text: `${figure(median)} ${unit}`,
    })),
  );

/** One self-contained page: no script, nothing fetched. */
export function htmlReport(report: Report, comparison?: Comparison): string {
  const { results, engines, targets, notRun, kernels, machine } = report;
  const metrics = [...new Set(results.map(({ metric }) => metric))];
  return htmlPage("Winnow bench", [
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
    section(
      "Targets",
      table(
        ["what", "wanted", "found", "met"],
        targets.map(({ what, wanted, value, met }) => [
          what,
          wanted,
          value === undefined ? "-" : figure(value),
          String(met),
        ]),
      ),
    ),
    section(
      "Not run",
      table(
        ["engine", "tokens", "why"],
        notRun.map(({ engine, length, reason }) => [engine, String(length ?? ""), reason]),
      ),
    ),
    ...(comparison
      ? [
          section(
            "Against the earlier run",
            table(
              ["what", "before", "after", "verdict"],
              comparison.changes.map(({ key, before, after, verdict }) => [
                key,
                figure(before),
                figure(after),
                verdict,
              ]),
            ),
          ),
        ]
      : []),
    ...(kernels?.plans ?? []).flatMap(({ plan, steps }) =>
      steps.map((step) =>
        section(
          `${step.name}, kernels for a ${plan.toUpperCase()}`,
          table(
            ["kernel", "ms", "of roofline"],
            step.kernels.map(({ name, ms, share }) => [name, figure(ms.median), percent(share)]),
          ),
        ),
      ),
    ),
    ...(kernels?.eviction
      ? [
          section(
            "What eviction takes",
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
          ),
        ]
      : []),
    section(
      "All results",
      table(
        ["what", "samples", "unit"],
        results.map((one) => [keyText(one), one.samples.map(figure).join(", "), one.unit]),
      ),
    ),
  ]);
}
