/** The report of an evaluation: JSON to Markdown and to a page that needs nothing else. */

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { evaluate } from "../../../src/eval/evaluate.ts";
import { htmlReport } from "../../../src/eval/report/html-report.ts";
import { type EvalReport, SCHEMA } from "../../../src/eval/report/report.ts";
import { resultsOf } from "../../../src/eval/report/results.ts";
import { markdownTables, rowCells } from "../../../src/eval/report/table.ts";
import { armText } from "../../../src/eval/types.ts";
import { ticks } from "../../../src/report/charts.ts";
import { winnow } from "../cli/cli-harness.ts";
import { FakeModel, OPTIONS, TEXT } from "./eval-fake-model.ts";

async function makeReport(): Promise<EvalReport> {
  const provenance = { version: "1", modelSha256: "model-hash", filtersSha256: "" };
  const texts = [{ name: "<b>.txt", sha256: "text-hash", text: TEXT }];
  const { cells } = await evaluate(new FakeModel(), OPTIONS, texts, provenance, {
    kept: new Map(),
    keep: async () => {},
    note: () => {},
    report: () => {},
    now: () => 0,
  });
  return {
    schema: SCHEMA,
    date: "2026-01-02",
    command: "winnow eval --text '<b>.txt'",
    provenance,
    model: { name: "tiny & co", architecture: "llama", parameters: 1e6 },
    adapter: { description: "an adapter" },
    host: "node",
    options: OPTIONS,
    from: 32,
    texts: texts.map(({ name, sha256 }) => ({ name, sha256 })),
    cells: cells.length,
    seconds: 100,
    ...resultsOf(cells, 32),
    notices: ["a policy is left out"],
  };
}

describe("the report", () => {
  test("is one page that needs nothing else", async () => {
    const page = htmlReport(await makeReport());
    expect(page).not.toMatch(/<script|src=|href=|url\(|@import/);
    expect(page).not.toContain("<b>.txt");
    for (const part of [
      "tiny &#38; co",
      "model-hash",
      "text-hash",
      "a policy is left out",
      "2 min",
    ])
      expect(page).toContain(part);
    expect(page).toContain("winnow eval --text &#39;&#60;b&#62;.txt&#39;");
    // Charts of four metrics and of two budgets over position, maps of them and of the needle.
    expect(page.match(/<svg/g)).toHaveLength(4 + 2);
    expect(page.match(/class="heat"/g)!.length).toBeGreaterThanOrEqual(4 + 2 * 5);
    expect(page).toContain("KL, 99th percentile (nats): policy by budget");
    const open = page.match(/<(figure|table|svg|div|tr|td|th|g)\b/g)!.length;
    const closed = page.match(/<\/(figure|table|svg|div|tr|td|th|g)>/g)!.length;
    expect(open).toBe(closed);
    expect(page).not.toMatch(/NaN|undefined|Infinity/);
  });

  test("prints every row as Markdown, the uncompressed value and bytes beside each", async () => {
    const report = await makeReport();
    const text = markdownTables(report);
    for (const row of report.rows) {
      const cells = rowCells(row);
      const line = text.split("\n").find((one) => cells.every((cell) => one.includes(` ${cell} `)));
      expect(line, cells.join(" ")).toBeDefined();
    }
    expect(text).toContain("### ppl: perplexity ratio");
    expect(text).toMatch(
      /\| 120 tokens +\| random 32 +\| 32 +\| 1\.3668 +\| 1\.3668 to 1\.3668 +\| 1\.0000 +\| 3 \| 3,200 +\| 12,000 +\|/,
    );
  });

  test("names what sets an arm apart", () => {
    const arm = { policy: "winnow", budget: 128, kv: "f16" } as const;
    expect(armText(arm)).toBe("winnow 128");
    expect(armText({ ...arm, wholeLayers: 0 })).toBe("winnow 128");
    expect(armText({ ...arm, wholeLayers: 2, kv: "q8" })).toBe("winnow 128, 2 layers whole q8");
  });

  test("survives JSON, and `winnow eval --table` reads it without a model", async () => {
    const report = await makeReport();
    const path = join(mkdtempSync(join(tmpdir(), "winnow-eval-")), "report.json");
    writeFileSync(path, JSON.stringify(report));
    const { status, stdout } = await winnow("eval", "--table", path);
    expect(status).toBe(0);
    expect(stdout).toBe(`${markdownTables(report)}\n`);
    writeFileSync(path, "{}");
    const bad = await winnow("eval", "--table", path);
    expect(bad.status).toBe(1);
    expect(bad.stderr).toMatch(/--table: .* is no report/);
  });

  test("axes have a few round marks inside their range", () => {
    expect(ticks(0, 1)).toEqual([0, 0.25, 0.5, 0.75, 1]);
    expect(ticks(1.02, 1.31)).toEqual([1.1, 1.2, 1.3]);
    expect(ticks(-0.01, 0.2)).toEqual([0, 0.1, 0.2]);
    expect(ticks(5, 5).every(Number.isFinite)).toBe(true);
  });
});

describe("flags of winnow eval", () => {
  const refused = async (...args: string[]): Promise<string> => {
    const { status, stderr, stdout } = await winnow("eval", "--model", "none", ...args);
    expect(status).toBe(1);
    expect(stdout).toBe("");
    return stderr;
  };

  test("are refused by name before a model is loaded", async () => {
    expect(await refused("--policies", "full,lru")).toMatch(
      /--policies: unknown policy "lru" \(Use some of winnow, q-filters,/,
    );
    expect(await refused("--policies", "q-filters@x")).toMatch(
      /--policies: "q-filters@x": the window must be a whole number/,
    );
    expect(await refused("--tasks", "ppl,poetry")).toMatch(/--tasks: unknown task "poetry"/);
    expect(await refused("--preset", "slow")).toMatch(
      /--preset: must be one of quick, policies, stream, full/,
    );
    expect(await refused("--budgets", "64,x")).toMatch(/--budgets: must be whole numbers/);
    expect(await refused("--budgets", "64.5")).toMatch(/--budgets: must be whole numbers/);
    expect(await refused("--depths", "0,2")).toMatch(/--depths: must be numbers from 0 to 1/);
    expect(await refused("--lanes", "129")).toMatch(/--lanes: must be an integer from 1 to 128/);
    expect(await refused("--tokens", "60")).toMatch(/--from: losses from position 64 on/);
    expect(await refused("--tokens", "90")).toMatch(/--from: retained attention is measured/);
    expect(await refused("--whole-layers", "x")).toMatch(/--whole-layers: must be an integer/);
    expect(await refused("--text", "no-such-file")).toMatch(
      /--text: no-such-file could not be read/,
    );
    expect(await refused("--ask", "never")).toMatch(/--ask: must be one of in, after, both/);
  });
});
