import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reusablePrefix } from "../../src/engine/prefix.ts";

/** Ids below 100 are control tokens; the others stand for these letters. */
const WORDS = new Map([
  [100, "a"],
  [101, "b"],
  [102, "ab"],
  [103, "ba"],
  [104, "aba"],
]);
const tokenizer = {
  tokenBytes: (id: number) => new TextEncoder().encode(WORDS.get(id) ?? ""),
};
const reusable = (cached: number[], prompt: number[]) => reusablePrefix(tokenizer, cached, prompt);

describe("reusablePrefix", () => {
  it.each<[string, number[], number[], number]>([
    ["nothing cached", [], [100], 0],
    ["equal ids", [100, 101], [100, 101, 102], 2],
    ["control tokens", [1, 100, 2], [1, 100, 2, 1, 101], 3],
    ["cached in smaller parts", [100, 101, 100], [104, 101], 1],
    ["cached in larger parts", [104], [100, 101, 100, 100], 3],
    ["another cut, a control token, then more", [1, 100, 101, 2], [1, 102, 2, 1], 3],
    ["the cache ends inside a token of the prompt", [100], [102, 100], -1],
    ["another text", [100, 101], [100, 100, 100], -1],
    ["another control token", [1, 100], [2, 100, 100], -1],
    ["a control token is not the letters after it", [1], [100, 100], -1],
    ["nothing left to run", [100, 101], [100, 101], 2],
    ["nothing left to run, another cut", [100, 101], [102], 1],
    ["the prompt is shorter", [100, 101, 100], [100, 101], -1],
    ["no prompt", [100], [], -1],
  ])("%s", (_name, cached, prompt, expected) => {
    expect(reusable(cached, prompt)).toBe(expected);
  });

  it("says n only where n tokens of the prompt are the cached text", () => {
    const id = fc.constantFrom(1, 2, 100, 101, 102, 103, 104);
    const text = (ids: number[]) => ids.map((n) => WORDS.get(n) ?? `<${n}>`).join("");
    fc.assert(
      fc.property(fc.array(id, { minLength: 1, maxLength: 5 }), fc.array(id), (cached, prompt) => {
        let expected = -1;
        for (let n = 1; n <= prompt.length; n += 1)
          if (text(prompt.slice(0, n)) === text(cached)) expected = n;
        expect(reusable(cached, prompt)).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });
});
