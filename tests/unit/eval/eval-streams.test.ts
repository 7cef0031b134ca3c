/** Long texts: losses by position, and what is past the trained length. */
import { describe, expect, test } from "vitest";
import { evaluate } from "../../../src/eval/evaluate.ts";
import { htmlReport } from "../../../src/eval/report/html-report.ts";
import type { EvalReport } from "../../../src/eval/report/report.ts";
import { resultsOf } from "../../../src/eval/report/results.ts";
import { aheadIn, streamsOf } from "../../../src/eval/report/streams.ts";
import { markdownTables } from "../../../src/eval/report/table.ts";
import type { Arm, EvalOptions, KeptCell } from "../../../src/eval/types.ts";
import { FakeModel, OPTIONS, TEXT } from "./eval-fake-model.ts";

const PROVENANCE = { version: "1", modelSha256: "m", filtersSha256: "" };
const STREAM: EvalOptions = { ...OPTIONS, tasks: ["stream"], passages: 1 };

async function run(options: EvalOptions, contextLength = 10_000) {
  const model = new FakeModel();
  model.contextLength = contextLength;
  const texts = [{ name: "a.txt", sha256: "aa", text: TEXT }];
  const hooks = {
    kept: new Map(),
    keep: async () => {},
    note: () => {},
    report: () => {},
    now: () => 0,
  };
  const { cells } = await evaluate(model, options, texts, PROVENANCE, hooks);
  return cells;
}

const reportOf = (options: EvalOptions, cells: readonly KeptCell[]): EvalReport => ({
  schema: 1,
  date: "2026-01-02",
  command: "winnow eval",
  provenance: PROVENANCE,
  model: { name: "tiny", architecture: "llama", parameters: 1e6 },
  adapter: { description: "an adapter" },
  host: "node",
  options,
  from: 32,
  texts: [],
  cells: cells.length,
  seconds: 1,
  ...resultsOf(cells, 32),
  streams: streamsOf(cells, options.bin),
  notices: ["a notice"],
});

/** A cell whose losses are given. */
const cell = (arm: Partial<Arm>, nll: number[], passage = 0): KeptCell => ({
  key: "k",
  cell: {
    kind: "text",
    text: "a",
    sha256: "a",
    passage,
    offset: 0,
    tokens: nll.length + 1,
    agreement: false,
    arm: { policy: "winnow", budget: 64, kv: "f16", ...arm },
  },
  score: { nll, bytes: 1, pairs: 1 },
  seconds: 1,
});

describe("streams", () => {
  test("losses are means over bins and streams, shares are of what StreamingLLM loses", () => {
    const full = { policy: "full", budget: "full" } as const;
    const streaming = { policy: "streaming-llm" } as const;
    const [set, ...others] = streamsOf(
      [
        cell(full, [1, 1, 1, 1, 2]),
        cell(full, [1, 3, 1, 1, 2], 1),
        cell({}, [1, 1, 2, 2, 2]),
        cell({}, [1, 3, 2, 2, 2], 1),
        cell(streaming, [1, 1, 3, 5, 2]),
        cell(streaming, [1, 3, 3, 5, 2], 1),
      ],
      2,
    );
    expect(others).toEqual([]);
    expect(set).toMatchObject({ budget: 64, tokens: 6, n: 2 });
    expect(set!.ranges).toEqual([
      [0, 2],
      [2, 4],
      [4, 5],
    ]);
    expect(set!.full).toEqual({ bins: [1.5, 1, 2], all: expect.closeTo(1.4) });
    const [own, theirs] = set!.arms;
    expect(own!.bins).toEqual([1.5, 2, 2]);
    expect(own!.share).toBeCloseTo(2 / 6);
    expect(theirs!.bins).toEqual([1.5, 4, 2]);
    expect(theirs!.share).toBeCloseTo(1);
    // Before anything is dropped all are alike, and nobody is ahead.
    expect([0, 1, 2].map((bin) => aheadIn(set!, bin)?.arm.policy)).toEqual([
      undefined,
      "winnow",
      undefined,
    ]);
  });

  test("a report has a table and a chart for each budget, uncompressed beside them", async () => {
    const report = reportOf(STREAM, await run(STREAM));
    expect(report.streams!.map(({ budget }) => budget)).toEqual([32, 64]);
    expect(report.streams![0]!.arms.map(({ arm }) => arm.policy)).toEqual([
      "random",
      "streaming-llm",
    ]);
    const text = markdownTables(report);
    expect(text).toContain("a notice");
    expect(text).toContain(
      "### stream: perplexity by position, 32 pairs per head, 1 stream of 120 tokens",
    );
    expect(text).toMatch(/\| 40 to 79 +\| \d+\.\d\d \(x 1\.367\)/);
    expect(text).toMatch(/\| loss, as a share of StreamingLLM's +\| 100\.0 % +\| 100\.0 % +\| - /);
    const page = htmlReport(report);
    expect(page).toContain("perplexity over uncompressed");
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("past the trained length there is no uncompressed run, and no share of its distance", async () => {
    const cells = await run(STREAM, 100);
    expect(cells.map(({ cell }) => cell.arm.policy)).not.toContain("full");
    expect(cells).toHaveLength(4);
    const report = reportOf(STREAM, cells);
    expect(report.streams![0]).not.toHaveProperty("full");
    expect(report.rows.map(({ metric }) => metric)).toEqual(Array(4).fill("perplexity"));
    expect(report.curves).toEqual([]);
    const text = markdownTables(report);
    expect(text).toMatch(/\| 80 to 118 +\| \d+\.\d\d +\| \d+\.\d\d +\| - +\| - +\|/);
    expect(text + htmlReport(report)).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("JSON and back, older reports too", async () => {
    const report = reportOf(STREAM, await run(STREAM));
    expect(markdownTables(JSON.parse(JSON.stringify(report)))).toBe(markdownTables(report));
    const { streams: _, ...older } = report;
    expect(markdownTables(older)).not.toContain("stream:");
  });
});

describe("past the trained length", () => {
  test("a needle is asked for under budgets alone", async () => {
    const options: EvalOptions = { ...OPTIONS, tasks: ["needle"], lengths: [500, 600] };
    const cells = await run(options, 512);
    const policies = (length: number) => [
      ...new Set(
        cells
          .filter(({ cell }) => cell.kind === "prompt" && cell.length === length)
          .map(({ cell }) => cell.arm.policy),
      ),
    ];
    expect(policies(500)).toEqual(["full", "random", "streaming-llm"]);
    expect(policies(600)).toEqual(["random", "streaming-llm"]);
    const { rows } = resultsOf(cells, 32);
    expect(
      rows.some(({ condition, ceiling }) => condition.length === 600 && ceiling !== undefined),
    ).toBe(false);
    expect(htmlReport(reportOf(options, cells))).not.toMatch(/NaN|undefined|Infinity/);
  });

  test.each<[string, Partial<EvalOptions>, RegExp, RegExp]>([
    [
      "whole layers",
      { tasks: ["stream"], wholeLayers: 1 },
      /--tokens: 120 .* 100 positions/,
      /whole-layers/,
    ],
    ["no policy with a budget", { tasks: ["ppl"], policies: ["full"] }, /--tokens/, /--policies/],
    ["agreement", { tasks: ["agreement"] }, /--tokens: .*uncompressed/, /stream/],
    ["mass", { tasks: ["mass"] }, /--tokens: .*uncompressed/, /stream/],
    [
      "a prompt, whole layers",
      { tasks: ["needle"], wholeLayers: 1 },
      /--lengths: 600/,
      /whole-layers/,
    ],
  ])("refused, and said what to do: %s", async (_, options, message, hint) => {
    await expect(run({ ...STREAM, ...options }, 100)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });
});
