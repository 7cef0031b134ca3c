import { describe, expect, it } from "vitest";
import { median, summarize } from "../../../src/cli/bench/statistics.ts";
import { compareReports } from "../../bench/comparison/compare.ts";
import { parseOptions } from "../../bench/comparison/options.ts";
import { makePlan } from "../../bench/comparison/plan.ts";
import { Samples } from "../../bench/comparison/report.ts";
import { targetsOf } from "../../bench/comparison/targets.ts";

const decode = (values: number[], engine: "winnow" | "transformers.js" = "winnow") => {
  const samples = new Samples();
  const budget = engine === "winnow" ? 512 : "full";
  for (const value of values) samples.add({ engine, metric: "decode", length: 512, budget }, value);
  return samples.results();
};

describe("statistics", () => {
  it("takes the middle and the spread", () => {
    expect(median([3, 1, 2])).toBe(2);
    expect(median([4, 1, 2, 3])).toBe(2.5);
    expect(summarize([8, 10, 12])).toEqual({ n: 3, median: 10, min: 8, max: 12, spread: 0.4 });
    expect(() => summarize([])).toThrow(RangeError);
  });
});

describe("compareReports", () => {
  it("counts a change only where samples do not overlap", () => {
    const verdict = (before: number[], after: number[]) =>
      compareReports({ schema: 1, results: decode(before) }, { schema: 1, results: decode(after) })
        .changes[0]?.verdict;
    expect(verdict([10, 11], [7, 8])).toBe("worse");
    expect(verdict([7, 8], [10, 11])).toBe("better");
    expect(verdict([7, 11], [8, 10])).toBe("same");
    expect(() => compareReports({ schema: 1, results: [] }, { schema: 2, results: [] })).toThrow(
      "schema",
    );
  });
});

describe("report", () => {
  it("has ratios of medians, and says what was not run", () => {
    const targets = targetsOf([...decode([4, 4, 5]), ...decode([0.2], "transformers.js")]);
    expect(targets[0]).toMatchObject({ value: 20, met: true });
    expect(targets[1]?.met).toBe("not run");
  });
  it("plans peers up to their limit", () => {
    const plan = makePlan(parseOptions(["--histories", "2048", "--prefill", "128"], "/"));
    expect(plan.notRun.map(({ engine }) => engine)).toEqual(["transformers.js"]);
    expect(() => parseOptions(["--repeats", "0"], "/")).toThrow("--repeats");
  });
  it("has a peer decode on a made-up cache beyond its limit, where asked", () => {
    const flags = [
      "--histories",
      "512,2048",
      "--transformers-filled",
      "--engines",
      "transformers.js",
    ];
    const { tasks, notRun } = makePlan(parseOptions(flags, "/"));
    expect(notRun).toEqual([]);
    expect(tasks.map(({ length, filled, prefill }) => [length, filled, prefill])).toEqual([
      [128, undefined, true],
      [512, undefined, true],
      [2048, true, false],
    ]);
  });
});
