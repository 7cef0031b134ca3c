/** Plan, batches, resuming, aborting and results, with a model that costs nothing. */
import { describe, expect, test } from "vitest";
import { batchesOf, needsReference } from "../../../src/eval/batches.ts";
import { secondsOf, tokensOf } from "../../../src/eval/cost.ts";
import { type Evaluated, evaluate } from "../../../src/eval/evaluate.ts";
import { cellKey, keepLines, readKept } from "../../../src/eval/kept.ts";
import { passagesOf, planCells, type Tokenised } from "../../../src/eval/plan.ts";
import { resultsOf } from "../../../src/eval/report/results.ts";
import { armText, cacheOf, type EvalOptions, type TextCell } from "../../../src/eval/types.ts";
import { FakeModel, OPTIONS, TEXT } from "./eval-fake-model.ts";

const TEXTS = [
  { name: "a.txt", sha256: "aa", text: TEXT },
  { name: "b.txt", sha256: "bb", text: TEXT.slice(7) },
];
const PROVENANCE = { version: "1", modelSha256: "m", filtersSha256: "" };
const tokenised = (): Tokenised[] =>
  TEXTS.map((one) => ({ ...one, tokens: new FakeModel().tokenizer.encode(one.text) }));

/** Runs, collecting the lines that would be kept. */
async function run(
  model: FakeModel,
  {
    options = OPTIONS,
    kept = "",
    version = "1",
  }: { options?: EvalOptions; kept?: string; version?: string } = {},
) {
  const lines: string[] = [];
  const keep = keepLines(async (text) => void lines.push(text));
  const notes: string[] = [];
  const progress: [number, number][] = [];
  const running = evaluate(
    model,
    options,
    TEXTS,
    { ...PROVENANCE, version },
    {
      kept: readKept(kept),
      keep,
      note: (line) => notes.push(line),
      report: (_, done, total) => progress.push([done, total]),
      signal: model.abortion.signal,
      now: () => 0,
    },
  );
  return {
    lines,
    notes,
    progress,
    outcome: await running.catch((error: unknown) => error as Error),
  };
}

describe("the plan", () => {
  test("a ceiling beside every arm; window and policies as asked", () => {
    const cells = planCells({ ...OPTIONS, window: 8 }, tokenised(), "noise");
    const text = cells.filter((cell): cell is TextCell => cell.kind === "text");
    // Three passages; the uncompressed run, and two policies under two budgets.
    expect(text).toHaveLength(3 * 5);
    expect(text.filter(({ arm }) => arm.policy === "full")).toHaveLength(3);
    expect(text.filter(({ arm }) => arm.budget === 64 && arm.window === 8)).toHaveLength(3 * 2);
    // needle: two depths, two ways to ask, two trials; niah-multikey without depths.
    expect(cells.filter((cell) => cell.kind === "prompt" && cell.task === "needle")).toHaveLength(
      8 * 5,
    );
    expect(cells.filter((cell) => cell.kind === "prompt" && cell.task !== "needle")).toHaveLength(
      4 * 5,
    );
    const budgets = cells.flatMap((cell) => (cell.kind === "prompt" ? [cell.arm.budget] : []));
    expect([...new Set(budgets)]).toEqual(["full", 75, 300]);
  });

  test("a policy may have a window of its own", () => {
    const policies = ["q-filters@16", "q-filters"] as const;
    const cells = planCells({ ...OPTIONS, policies, window: 8 }, tokenised(), "noise");
    const windows = cells.filter(({ arm }) => arm.budget === 64).map(({ arm }) => arm.window);
    expect(windows).toEqual([1, 2, 3].flatMap(() => [16, 8]));
    expect(armText({ policy: "q-filters", budget: 64, window: 16, kv: "f16" })).toBe(
      "q-filters 64, window 16",
    );
  });

  test("passages of one text do not overlap; a text that is too short is named", () => {
    const passages = passagesOf({ passages: 5, tokens: 120 }, tokenised());
    expect(passages.map(({ text }) => text)).toEqual(["a.txt", "b.txt", "a.txt", "b.txt", "a.txt"]);
    const [first, , second, , third] = passages.map(({ offset }) => offset);
    expect(first).toBe(0);
    expect(second! - first!).toBeGreaterThanOrEqual(120);
    expect(third! - second!).toBeGreaterThanOrEqual(120);
    expect(() => passagesOf({ passages: 1, tokens: 5000 }, tokenised())).toThrow(
      /a\.txt has \d+ tokens/,
    );
    expect(() => passagesOf({ passages: 1, tokens: 10 }, [])).toThrow(/--text/);
    expect(() => planCells({ ...OPTIONS, window: 32 }, tokenised(), "noise")).toThrow(/budget/);
  });

  test("batches hold every cell once, passages apart, the ceiling where it is needed", () => {
    const cells = planCells(OPTIONS, tokenised(), "noise");
    const batches = batchesOf(cells, OPTIONS.lanes);
    expect(batches.flatMap((batch) => [...batch.cells])).toHaveLength(cells.length);
    expect(new Set(batches.flatMap((batch) => [...batch.cells])).size).toBe(cells.length);
    for (const batch of batches) {
      const sequences =
        batch.cells.length + (batch.kind === "text" && needsReference(batch) ? 1 : 0);
      expect(sequences).toBeLessThanOrEqual(OPTIONS.lanes);
      if (batch.kind === "text")
        expect(new Set(batch.cells.map(({ passage }) => passage)).size).toBe(1);
    }
    const [first] = batches;
    expect(tokensOf(first!)).toBe(4 * 119);
    expect(secondsOf(first!, { step: 1, lane: 0.5, prefill: 2 })).toBe(119 * 2.5);
  });

  test("cells that are compared with nothing step together whatever their passage", () => {
    const cells = planCells({ ...OPTIONS, tasks: ["ppl"] }, tokenised(), "noise");
    expect(cells).toHaveLength(15);
    expect(batchesOf(cells, 16).map((batch) => batch.cells.length)).toEqual([15]);
    expect(batchesOf(cells, 14).map((batch) => batch.cells.length)).toEqual([8, 7]);
  });

  test("retained attention alone needs the uncompressed run too, and leaves other cells' keys as they were", () => {
    const options: EvalOptions = { ...OPTIONS, tasks: ["mass"], lanes: 2 };
    const cells = planCells(options, tokenised(), "noise");
    expect(cells.every((cell) => cell.kind === "text" && cell.mass && !cell.agreement)).toBe(true);
    const batches = batchesOf(cells, 2).filter((batch) => batch.kind === "text");
    expect(batches.flatMap((batch) => [...batch.cells])).toHaveLength(3 * 5);
    for (const batch of batches) {
      const led = batch.cells[0]!.arm.policy === "full";
      expect(needsReference(batch)).toBe(!led);
      expect(batch.cells).toHaveLength(led ? 2 : 1);
    }
    const [plain] = planCells({ ...OPTIONS, tasks: ["ppl"] }, tokenised(), "noise");
    expect(Object.keys(plain!)).not.toContain("mass");
    expect(Object.keys(plain!.arm)).not.toContain("wholeLayers");
  });

  test("layers kept whole are of every arm but the ceiling", () => {
    const cells = planCells({ ...OPTIONS, wholeLayers: 2 }, tokenised(), "noise");
    for (const { arm } of cells)
      expect(arm.wholeLayers).toBe(arm.policy === "full" ? undefined : 2);
    expect(cells.map(({ arm }) => cacheOf(arm).wholeLayers)).toContain(2);
    const none = planCells({ ...OPTIONS, wholeLayers: 0 }, tokenised(), "noise");
    expect(none).toEqual(planCells(OPTIONS, tokenised(), "noise"));
  });

  test("a single lane still gets the uncompressed run beside it", () => {
    const cells = planCells(OPTIONS, tokenised(), "noise");
    const text = cells.filter(({ kind }) => kind === "text");
    const batches = batchesOf(text, 1);
    expect(batches.flatMap((batch) => [...batch.cells])).toHaveLength(text.length);
  });
});

describe("a cell's key", () => {
  const [cell] = planCells(OPTIONS, tokenised(), "noise");

  test("does not depend on the order of fields, but on everything else", async () => {
    const turned = Object.fromEntries(Object.entries(cell!).reverse()) as unknown as TextCell;
    const key = await cellKey(cell!, PROVENANCE);
    expect(await cellKey(turned, PROVENANCE)).toBe(key);
    const others = [
      await cellKey({ ...cell!, seed: 5 } as never, PROVENANCE),
      await cellKey({ ...cell!, arm: { ...cell!.arm, kv: "q8" } }, PROVENANCE),
      await cellKey(cell!, { ...PROVENANCE, version: "2" }),
      await cellKey(cell!, { ...PROVENANCE, modelSha256: "n" }),
      await cellKey(cell!, { ...PROVENANCE, filtersSha256: "f" }),
    ];
    expect(new Set([key, ...others]).size).toBe(6);
  });
});

describe("running", () => {
  test("every cell is kept once and the plan said beforehand", async () => {
    const model = new FakeModel();
    const { lines, notes, progress, outcome } = await run(model);
    expect(outcome).not.toBeInstanceOf(Error);
    expect(lines).toHaveLength(15 + 40 + 20);
    expect(notes[0]).toBe(
      "plan: ppl, agreement 15, needle 40, niah-multikey 20; 0 of 75 cells kept",
    );
    expect(notes[1]).toContain("75 cells in");
    expect(progress.at(-1)![0]).toBe(progress.at(-1)![1]);
    for (const [i, [done]] of progress.entries())
      expect(done).toBeGreaterThanOrEqual(i === 0 ? 0 : progress[i - 1]![0]);
  });

  test("goes on after a kill, with the same result as in one go", async () => {
    const whole = await run(new FakeModel());
    const first = new FakeModel();
    first.abortAfter = 9;
    const killed = await run(first);
    expect(killed.outcome).toMatchObject({ code: "aborted" });
    expect(killed.lines.length).toBeGreaterThan(0);
    expect(killed.lines.length).toBeLessThan(75);
    // The kill cut the last line.
    const kept = killed.lines.join("").slice(0, -20);
    const second = new FakeModel();
    const rest = await run(second, { kept });
    expect(rest.lines).toHaveLength(75 - (killed.lines.length - 1));
    expect(rest.outcome).toMatchObject({ resumed: killed.lines.length - 1 });
    // What is in the file now is whole, but for the line that was cut.
    expect(readKept(kept + rest.lines.join("")).size).toBe(75);
    const strip = (outcome: unknown) => (outcome as Evaluated).cells;
    expect(strip(rest.outcome)).toEqual(strip(whole.outcome));
    // Nothing is left to do, so nothing runs: not even the probe.
    const third = new FakeModel();
    const again = await run(third, { kept: whole.lines.join("") });
    expect(third.log).toEqual([]);
    expect(strip(again.outcome)).toEqual(strip(whole.outcome));
  });

  test("another version starts anew; another budget runs only what is new", async () => {
    const { lines } = await run(new FakeModel());
    const other = await run(new FakeModel(), { kept: lines.join(""), version: "2" });
    expect(other.lines).toHaveLength(75);
    const options = { ...OPTIONS, budgets: [32, 64, 96] };
    const more = await run(new FakeModel(), { kept: lines.join(""), options });
    expect(more.lines).toHaveLength(3 * 2);
  });

  test("asks what cannot be before anything runs", async () => {
    const model = new FakeModel();
    model.contextLength = 100;
    expect((await run(model)).outcome).toMatchObject({ code: "invalid_argument" });
    model.contextLength = 500;
    const short = await run(model, { options: { ...OPTIONS, lengths: [100] } });
    expect(short.outcome).toMatchObject({ message: expect.stringContaining("too few") });
    expect(model.log).toEqual([]);
  });

  test("a model that asks for a first token gets it before each passage, under cells of their own", async () => {
    const bos = 0;
    const model = new FakeModel();
    model.tokenizer = { ...model.tokenizer, prefix: [bos] };
    const options: EvalOptions = { ...OPTIONS, tasks: ["ppl"] };
    const { lines, outcome } = await run(model, { options });
    expect(lines.length).toBeGreaterThan(0);
    const { cells } = outcome as Evaluated;
    for (const { cell } of cells) expect(cell).toMatchObject({ bos: true, tokens: 120 });
    const [text] = tokenised();
    expect(model.passages.at(-1)).toHaveLength(120);
    expect(model.passages).toContainEqual([bos, ...text!.tokens.slice(0, 119)]);
    const plain = await run(new FakeModel(), { options, kept: lines.join("") });
    expect(plain.outcome).toMatchObject({ resumed: 0 });
  });

  test("damaged lines are run again, not trusted", () => {
    expect(
      readKept('{"key":"a"}\nnull\n[]\n{"key":"b","cell":{},"score":{},"seconds":1}\n{"ke').size,
    ).toBe(1);
  });
});

describe("results", () => {
  test("retained attention: the mean from a position on, its interval, its ceiling", async () => {
    const options: EvalOptions = { ...OPTIONS, tasks: ["ppl", "mass"] };
    const { outcome, notes } = await run(new FakeModel(), { options });
    expect(notes[0]).toContain("ppl, mass 15;");
    const { cells } = outcome as Evaluated;
    const rowsFrom = (from: number) =>
      resultsOf(cells, from).rows.filter(({ task }) => task === "mass");
    const rows = rowsFrom(32);
    expect(rows).toHaveLength(5);
    const find = (budget: number | "full") => rows.find(({ arm }) => arm.budget === budget)!;
    // Of 119 positions 30, 61 and 92 are measured, the last two from 32 on.
    expect(find(32).value).toBeCloseTo((32 / 62 + 32 / 93) / 2, 12);
    expect(find(32)).toMatchObject({ metric: "retained attention mass", better: "higher" });
    expect(find(32)).toMatchObject({ ceiling: 1, n: 3, pairs: 32 });
    expect(find(64).value).toBeCloseTo((1 + 64 / 93) / 2, 12);
    expect(find("full")).toMatchObject({ value: 1, low: 1, high: 1 });
    expect(rowsFrom(93)).toEqual([]);
    expect(resultsOf(cells, 32).rows.some(({ task }) => task === "agreement")).toBe(false);
  });

  test("the 99th percentile of KL is each passage's own, of positions that count", async () => {
    const { outcome } = await run(new FakeModel());
    const cells = (outcome as Evaluated).cells.map((one) => {
      if (one.cell.kind !== "text" || one.cell.arm.policy === "full") return one;
      const { passage } = one.cell;
      // Below position 32 nothing counts; of the 87 behind it, one in 29 is far off.
      const kl = Array.from({ length: 119 }, (_, i) =>
        i < 32 ? 9 : i % 29 === 3 ? passage + 1 : 0,
      );
      return { ...one, score: { ...one.score, kl } } as typeof one;
    });
    const { rows } = resultsOf(cells, 32);
    const found = rows.filter(({ metric }) => metric === "KL, 99th percentile (nats)");
    const compressed = found.filter(({ arm }) => arm.policy !== "full");
    expect(compressed).toHaveLength(4);
    for (const { value, low, high } of compressed) {
      expect(value).toBeCloseTo(2, 12);
      expect(low!).toBeLessThan(1);
      expect(high!).toBeGreaterThan(3);
    }
    expect(found.filter(({ arm }) => arm.policy === "full")).toMatchObject([{ value: 0 }]);
  });

  test("ratios, agreement, ceilings and bytes", async () => {
    const { outcome } = await run(new FakeModel());
    const { cells } = outcome as Evaluated;
    const { rows, curves } = resultsOf(cells, 32);
    const find = (metric: string, budget: number | "full", policy = "random") =>
      rows.find(
        (row) =>
          row.metric === metric &&
          row.arm.budget === budget &&
          (budget === "full" || row.arm.policy === policy),
      )!;
    // Every loss from 32 on is 10 / 32 nats above the uncompressed one.
    expect(find("perplexity ratio", 32).value).toBeCloseTo(Math.exp(10 / 32), 10);
    expect(find("perplexity ratio", 32)).toMatchObject({
      n: 3,
      ceiling: 1,
      bytes: 3200,
      bytesFull: 12000,
      pairs: 32,
    });
    expect(find("perplexity ratio", 64).value).toBeCloseTo(Math.exp(((10 / 64) * 55) / 87), 10);
    expect(find("perplexity", "full").value).toBe(find("perplexity", 32).ceiling);
    expect(find("KL (nats)", 32).value).toBeCloseTo(1 / 32, 10);
    const worst = find("KL, 99th percentile (nats)", 32);
    expect(worst).toMatchObject({ task: "agreement", better: "lower", ceiling: 0, n: 3 });
    expect(worst.value).toBeCloseTo(1 / 32, 10);
    expect(find("top-1 agreement", 32).value).toBeCloseTo(1 - 22 / 87, 10);
    expect(find("top-1 agreement", "full")).toMatchObject({ value: 1, low: 1, high: 1 });
    expect(curves).toHaveLength(4);
    expect(curves[0]!.points[0]).toEqual({ position: 16, nats: 0 });
    expect(curves[0]!.points[2]!.nats).toBeCloseTo(10 / 32, 10);
    // The fake remembers the end of a prompt: a needle at depth 1 survives, one at depth 0 does not.
    const needle = (depth: number, budget: number | "full") =>
      rows.find(
        ({ task, condition, arm }) =>
          task === "needle" &&
          condition.depth === depth &&
          condition.ask === "in" &&
          arm.budget === budget,
      )!;
    expect(needle(0, "full")).toMatchObject({ value: 1, ceiling: 1, n: 2 });
    expect(needle(1, 300)).toMatchObject({ value: 1, ceiling: 1 });
    expect(needle(0, 75)).toMatchObject({ value: 0, ceiling: 1, low: 0 });
    expect(needle(0, 75).high).toBeGreaterThan(0.5);
  });
});
