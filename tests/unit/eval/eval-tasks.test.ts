/** Generated problems: their answers lie in their text, they fit their length, and repeat with their seed. */
import { describe, expect, test } from "vitest";
import { readAlike } from "../../../src/eval/batches.ts";
import { buildPrompt, type PromptText } from "../../../src/eval/prompt.ts";
import { hide, noise, textHaystack } from "../../../src/eval/tasks/haystack.ts";
import { generatorOf, questionsOf } from "../../../src/eval/tasks/index.ts";
import type { Problem } from "../../../src/eval/tasks/problem.ts";
import { scoreOf } from "../../../src/eval/tasks/problem.ts";
import {
  CHAT_TASKS,
  PROMPT_TASKS,
  type PromptCell,
  type PromptTask,
} from "../../../src/eval/types.ts";
import { seededRandom } from "../../../src/random.ts";
import { byteTokenizer, FakeEngine } from "../api/api-fake-engine.ts";

const cellOf = (task: PromptTask, more: Partial<PromptCell> = {}): PromptCell => ({
  kind: "prompt",
  task,
  length: 6000,
  ask: "in",
  trial: 0,
  seed: 1,
  hay: "noise",
  arm: { policy: "full", budget: "full", kv: "f16" },
  ...more,
});
const text: PromptText = { tokenizer: byteTokenizer, template: new FakeEngine().template };
const decode = (parts: readonly (readonly number[])[]): string =>
  byteTokenizer.decode(parts.flat());
const count = (hay: string, word: string): number => hay.split(word).length - 1;

/** What is said before the question. */
const said = ({ history = [], context }: Problem): string =>
  [...history.map(({ content }) => content), context].join("\n");
const isChat = (task: PromptTask): boolean => CHAT_TASKS.some((name) => name === task);

describe.each(PROMPT_TASKS)("%s", (task) => {
  const cell = cellOf(task);
  const prompt = buildPrompt(text, cell, noise);
  const { problem } = prompt;

  test("holds its answers, and nothing of them in the question", () => {
    expect(problem.expected.length).toBeGreaterThan(0);
    for (const one of problem.expected) {
      expect(said(problem)).toContain(one);
      expect(problem.question).not.toContain(one);
      expect(problem.prefix).not.toContain(one);
    }
    expect(scoreOf(problem.expected.join(" and "), problem)).toBe(1);
    expect(scoreOf("nothing of the kind", problem)).toBe(0);
  });

  test("fills its length and does not exceed it", () => {
    expect(prompt.tokens).toBeLessThanOrEqual(6000);
    expect(prompt.tokens).toBeGreaterThan(5600);
    expect(prompt.tokens).toBe(prompt.parts.flat().length);
    expect(decode(prompt.parts)).toContain(problem.context);
    expect(decode(prompt.parts).endsWith(problem.prefix)).toBe(true);
  });

  test("is the same under every arm, and another one in the next trial", () => {
    const arm = { policy: "random", budget: 8, kv: "q8" } as const;
    expect(buildPrompt(text, { ...cell, arm }, noise)).toEqual(prompt);
    expect(buildPrompt(text, { ...cell, trial: 1 }, noise)).not.toEqual(prompt);
    expect(buildPrompt(text, { ...cell, seed: 2 }, noise)).not.toEqual(prompt);
  });

  test("asked afterwards, its question is in the last part alone", () => {
    const after = buildPrompt(text, { ...cell, ask: "after" }, noise);
    expect(after.parts.length > 2).toBe(isChat(task));
    expect(after.parts.flat()).toEqual(prompt.parts.flat());
    const before = decode(after.parts.slice(0, -1));
    expect(before).toContain(problem.context);
    expect(before).not.toContain(problem.question);
    expect(decode(after.parts.slice(-1))).toContain(problem.question);
  });

  test("is refused where it does not fit", () => {
    expect(() => buildPrompt(text, { ...cell, length: 100 }, noise)).toThrow(/too few/);
  });

  test("works without a chat template", () => {
    const plain = buildPrompt({ tokenizer: byteTokenizer, template: undefined }, cell, noise);
    expect(decode(plain.parts).startsWith(plain.problem.intro)).toBe(true);
    const tokenizer = { ...byteTokenizer, prefix: [0] };
    for (const ask of ["in", "after"] as const) {
      const led = buildPrompt({ tokenizer, template: undefined }, { ...cell, ask }, noise);
      expect(led.parts[0]!.slice(0, 1)).toEqual([0]);
      expect(decode([led.parts.flat().slice(1)]).startsWith(led.problem.intro)).toBe(true);
      expect(led.parts).toHaveLength(ask === "in" || isChat(task) ? 1 : 2);
    }
  });
});

describe("what tasks hide", () => {
  const problemOf = (task: PromptTask, size: number) =>
    generatorOf(cellOf(task), noise).make(seededRandom(5), size);

  test("as many needles as RULER says", () => {
    const facts = (task: PromptTask): number =>
      count(problemOf(task, 40).context, "One of the special magic numbers for");
    expect(facts("niah-single")).toBe(1);
    expect(facts("niah-multikey")).toBe(4);
    expect(facts("niah-multivalue")).toBe(4);
    expect(facts("niah-multiquery")).toBe(4);
    expect(problemOf("niah-multikey", 40).expected).toHaveLength(1);
    expect(problemOf("niah-multivalue", 40).expected).toHaveLength(4);
    expect(problemOf("niah-multiquery", 40).expected).toHaveLength(4);
  });

  test("variables: a chain in order, four hops", () => {
    const { context, expected } = problemOf("variables", 40);
    const places = expected.map((name) => context.indexOf(`VAR ${name} =`));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(count(context, " = VAR ")).toBe(4);
  });

  test("common words: ten of them ten times, the others once", () => {
    const { context, expected } = problemOf("common-words", 300);
    const words = context.split(/ ?\d+\. /).filter(Boolean);
    expect(words).toHaveLength(10 * 10 + 300);
    const times = new Map<string, number>();
    for (const word of words) times.set(word, (times.get(word) ?? 0) + 1);
    expect(expected.map((word) => times.get(word))).toEqual(new Array(10).fill(10));
    expect([...times.values()].filter((n) => n === 1)).toHaveLength(300);
  });

  test("frequent words: ranks 2 to 4 of a Zeta distribution", () => {
    const { context, expected } = problemOf("frequent-words", 400);
    const times = new Map<string, number>();
    for (const word of context.split(" ")) times.set(word, (times.get(word) ?? 0) + 1);
    const sorted = [...times].sort((a, b) => b[1] - a[1]).map(([word]) => word);
    expect(sorted.slice(0, 4)).toEqual(["....", ...expected]);
    expect(times.get(sorted[1]!)! / times.get("....")!).toBeCloseTo(1 / 4, 1);
  });

  test("instructions: a system message, which the prompt knows, then nothing but small talk", () => {
    const { problem, parts, system } = buildPrompt(text, cellOf("instructions"), noise);
    const [first, ...talk] = problem.history!;
    expect(first!.role).toBe("system");
    const decoded = byteTokenizer.decode(parts.flat().slice(0, system));
    expect(decoded).toContain(first!.content);
    expect(decoded).not.toContain("Tell me something");
    const answers = problem.expected.filter((one) => one.length > 1);
    for (const { content } of talk.filter(({ role }) => role === "user"))
      expect(content).toMatch(/^Tell me something about /);
    for (const one of answers) expect(first!.content).toContain(one);
  });

  test("corrections: what is asked for was said last of its animal, in the first or the second half", () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const { history, question, expected } = generatorOf(cellOf("corrections"), noise).make(
        seededRandom(seed),
        12,
        seed % 4,
      );
      const animal = /my (\w+) now/.exec(question)![1]!;
      const told = history!.filter(({ content }) => content.includes(`your ${animal} is called`));
      expect(told.at(-1)!.content).toContain(` ${expected[0]}.`);
      expect(told.length).toBeLessThanOrEqual(2);
      expect(history!.filter(({ content }) => content.startsWith("I was wrong"))).toHaveLength(2);
    }
  });

  test.each(CHAT_TASKS)("%s: as many trials as there are questions read one chat", (task) => {
    const questions = questionsOf(task);
    const prompts = Array.from({ length: questions + 1 }, (_, trial) =>
      buildPrompt(text, cellOf(task, { trial }), noise),
    );
    const other = prompts.pop()!;
    for (const { parts } of prompts)
      expect(parts.slice(0, -1)).toEqual(prompts[0]!.parts.slice(0, -1));
    expect(other.parts[0]).not.toEqual(prompts[0]!.parts[0]);
    const asked = new Set(prompts.map(({ problem }) => problem.question));
    expect(asked.size).toBe(questions);
    const cells = [0, questions - 1, questions].map((trial) => cellOf(task, { trial }));
    expect(readAlike(cells[0]!, cells[1]!)).toBe(true);
    expect(readAlike(cells[0]!, cells[2]!)).toBe(false);
  });

  test("a needle at its depth", () => {
    const sentences = ["a. ", "b. ", "c. ", "d. "];
    expect(hide(sentences, ["X."], [0])).toBe("X. a. b. c. d.");
    expect(hide(sentences, ["X."], [0.5])).toBe("a. b. X. c. d.");
    expect(hide(sentences, ["X.", "Y."], [0.25, 1])).toBe("a. X. b. c. d. Y.");
  });

  test("sentences of a text, in order, around its end", () => {
    const hay = textHaystack('One.  Two!\n"Three?" Four', "id");
    const found = hay.sentences(() => 0.4, 5).join("");
    expect(found).toBe('Two! "Three?" One. Two! "Three?" ');
  });
});
