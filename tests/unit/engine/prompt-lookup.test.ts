import { describe, expect, test } from "vitest";
import { PromptLookup } from "../../../src/engine/speculation/prompt-lookup.ts";
import { Speculation } from "../../../src/engine/speculation/speculation.ts";
import { StepCosts } from "../../../src/engine/speculation/step-costs.ts";

describe("prompt lookup", () => {
  test("guesses what followed the last tokens when they came before, the latest time", () => {
    const lookup = new PromptLookup([1, 2, 3, 7, 8, 1, 2, 3, 9, 9, 1, 2, 3]);
    expect(lookup.guess(4)).toEqual({ run: 3, tokens: [9, 9, 1, 2] });
    lookup.push(7);
    expect(lookup.guess(2)).toEqual({ run: 3, tokens: [8, 1] });
  });

  test("a run of two where three never came", () => {
    const lookup = new PromptLookup([4, 2, 3, 7, 8, 5, 2, 3]);
    expect(lookup.guess(2)).toEqual({ run: 2, tokens: [7, 8] });
  });

  test("goes on past the end as a loop would", () => {
    expect(new PromptLookup([5, 6, 5, 6, 5]).guess(3)).toEqual({ run: 3, tokens: [6, 5, 6] });
    expect(new PromptLookup([3, 3, 3]).guess(3)).toEqual({ run: 2, tokens: [3, 3, 3] });
  });

  test("nothing where nothing came before, where the text is short, or no token is wanted", () => {
    expect(new PromptLookup([1, 2, 3, 4]).guess(3)).toBeUndefined();
    for (const tokens of [[], [1], [1, 1]])
      expect(new PromptLookup(tokens).guess(3)).toBeUndefined();
    expect(new PromptLookup([1, 1, 1, 1]).guess(0)).toBeUndefined();
  });
});

describe("speculation", () => {
  const loop = Array.from({ length: 60 }, (_, i) => i % 5);
  const costs = (ratios: readonly number[]): StepCosts => {
    const measured = new StepCosts(true);
    for (const [i, ratio] of ratios.entries())
      for (let n = 0; n < 2; n += 1) measured.note(i + 1, 10 * ratio);
    return measured;
  };

  test("guesses only once guesses have come true often enough for what a step costs", () => {
    const cheap = new Speculation(loop.slice(0, 10), costs([1, 1.05, 1.1, 1.15]));
    expect(cheap.guess(3).length).toBeGreaterThan(0);
    const dear = new Speculation(loop.slice(0, 10), costs([1, 1.45, 2.6, 2.8]));
    expect(dear.guess(3)).toEqual([]);
    for (const token of loop.slice(10, 30)) dear.push(token);
    expect(dear.guess(3)).toEqual([0]);
    for (const token of loop) dear.push(token);
    expect(dear.guess(3)).toEqual([0, 1, 2]);
    expect(dear.guess(1)).toEqual([0]);
    const hopeless = new Speculation(loop, costs([1, 2, 3, 4]));
    for (const token of loop) hopeless.push(token);
    expect(hopeless.guess(3)).toEqual([]);
  });

  test("stops when guesses go wrong", () => {
    const speculation = new Speculation(loop, costs([1, 1.45, 2.6, 2.8]));
    for (const token of loop) speculation.push(token);
    expect(speculation.guess(3).length).toBe(3);
    // The same two tokens before it, but each time another one follows.
    for (let i = 0; i < 12; i += 1)
      for (const token of [100, 101, 200 + i]) speculation.push(token);
    speculation.push(100);
    speculation.push(101);
    expect(speculation.guess(3)).toEqual([]);
  });
});

test("costs: what was timed, else what is assumed of the adapter's kind; one slow step is no matter", () => {
  const costs = new StepCosts(false);
  expect(costs.ratio(2)).toBe(1.1);
  for (const ms of [500, 10, 50]) costs.note(1, ms);
  expect(costs.ratio(2)).toBe(1.1);
  for (const ms of [500, 15, 300]) costs.note(2, ms);
  expect(costs.ratio(2)).toBeCloseTo(1.5, 1);
  // What is not tried any more is tried again by and by.
  for (let n = 0; n < 150; n += 1) costs.note(1, 10);
  expect(costs.ratio(2)).toBeCloseTo(1.1, 1);
});
