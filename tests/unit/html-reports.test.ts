/** The three HTML reports share one page, one table and one set of charts. */
import { describe, expect, it } from "vitest";
import { calibrationReport } from "../../calibrate/report.ts";
import { barChart, heatMap, lineChart } from "../../src/report/charts.ts";
import { htmlPage, table } from "../../src/report/html.ts";
import { htmlReport } from "../bench/comparison/html.ts";
import { type Report, Samples } from "../bench/comparison/report.ts";

const ALONE = /<script|src=|href=|url\(|@import/;
const NAME = `<b a="1">'&`;

describe("charts and tables", () => {
  it("show names as text, never as markup", () => {
    const point = { x: 1, y: 2, low: 1, high: 3 };
    const line = { name: NAME, color: 0, points: [point] };
    const chart = { title: NAME, xLabel: NAME, yLabel: NAME, lines: [line] };
    const cell = { good: 1, text: NAME, hint: NAME };
    for (const html of [
      htmlPage(NAME, []),
      table([NAME], [[NAME]]),
      lineChart(chart),
      barChart(NAME, [{ name: NAME, value: 1, low: 1, high: 1, text: NAME }]),
      heatMap({
        title: NAME,
        rowLabel: NAME,
        columns: [NAME],
        rows: [{ name: NAME, cells: [cell] }],
      }),
    ]) {
      expect(html).not.toContain("<b");
      expect(html).toContain("&#60;b a=&#34;1&#34;&#62;&#39;&#38;");
    }
  });

  it("draw points alone in a scatter", () => {
    const lines = [
      {
        name: "heads",
        color: 0,
        points: [
          { x: 1, y: 1 },
          { x: 2, y: 3 },
        ],
      },
    ];
    const chart = { title: "t", xLabel: "x", yLabel: "y", lines };
    expect(lineChart(chart)).toMatch(/<g class="line c0"><path/);
    expect(lineChart({ ...chart, scatter: true })).toMatch(/<g class="line c0"><circle/);
  });
});

it("a calibration's report is one page with a cell per head and a chart per figure", () => {
  const page = calibrationReport(
    {
      filters: new Float32Array(8),
      layers: 2,
      kvHeads: 2,
      headDim: 2,
      explained: [
        [0.5, 0.25],
        [0.75, 1],
      ],
      samples: 300,
      seed: 1,
      statistics: { ageFit: Float32Array.of(1, 2, 0, 0, 2, 1, 0, 0) } as never,
      notices: [],
      agreement: {
        halves: [
          [1, 0.99],
          [0.98, 0.97],
        ],
        convergence: [{ samples: 50, mean: 0.9, lowest: 0.8 }],
      },
    },
    { model: { name: "<tiny>", sha256: "hash" }, tokens: 1000 },
  );
  expect(page).not.toMatch(ALONE);
  expect(page).not.toContain("<tiny>");
  expect(page.match(/title="layer/g)).toHaveLength(8);
  expect(page).toContain('title="layer 1, kv head 0: 75.0 %"');
  expect(page.match(/<svg/g)).toHaveLength(2);
});

it("the bench's report is one page with a chart per metric", () => {
  const samples = new Samples();
  for (const value of [4, 5])
    samples.add({ engine: "winnow", metric: "decode", length: 512 }, value);
  samples.add({ engine: "winnow", metric: "load" }, 900);
  const page = htmlReport({
    schema: 2,
    date: "2026-01-02",
    machine: { cpu: "a <cpu>", cores: 2, platform: "linux", load: [1] },
    browser: "Chromium",
    options: {} as Report["options"],
    engines: { winnow: { status: "ran" } },
    results: samples.results(),
    notRun: [],
    targets: [],
  });
  expect(page).not.toMatch(ALONE);
  expect(page).not.toContain("<cpu>");
  expect(page.match(/<svg/g)).toHaveLength(2);
  expect(page).toContain("winnow 512");
});
