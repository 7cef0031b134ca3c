import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchPrefix } from "../../../src/engine/chat/prefix.ts";

/** Ids below 100 are control tokens; the others stand for these letters. */
const WORDS = new Map<number, string | Uint8Array>([
  [100, "a"],
  [101, "b"],
  [102, "ab"],
  [103, "ba"],
  [104, "aba"],
  [110, "😀"],
  [111, Uint8Array.of(0xf0, 0x9f)],
  [112, Uint8Array.of(0x98)],
  [113, Uint8Array.of(0x80)],
  [114, Uint8Array.of(0x61, 0xf0, 0x9f)],
]);
const tokenizer = {
  tokenBytes: (id: number) => {
    const word = WORDS.get(id) ?? "";
    return typeof word === "string" ? new TextEncoder().encode(word) : word;
  },
};
const match = (seen: number[], prompt: number[], most?: number) =>
  matchPrefix(tokenizer, seen, prompt, most);

describe("matchPrefix", () => {
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
    expect(match(cached, prompt).all).toBe(expected);
  });

  it("says n only where n tokens of the prompt are the cached text", () => {
    const id = fc.constantFrom(1, 2, 100, 101, 102, 103, 104);
    const text = (ids: number[]) => ids.map((n) => WORDS.get(n) ?? `<${n}>`).join("");
    fc.assert(
      fc.property(fc.array(id, { minLength: 1, maxLength: 5 }), fc.array(id), (cached, prompt) => {
        let expected = -1;
        for (let n = 1; n <= prompt.length; n += 1)
          if (text(prompt.slice(0, n)) === text(cached)) expected = n;
        expect(match(cached, prompt).all).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });

  it.each<[string, number[], number[], number]>([
    ["half a character", [100, 111], [100, 2], 1],
    ["three quarters of one", [100, 111, 112], [100, 2, 101], 1],
    ["half a one in a token with a letter", [1, 114], [1, 100, 2], 2],
    ["behind another cut", [100, 101, 111], [102, 2], 1],
    ["a whole character", [100, 111, 112, 113], [100, 110, 2], 2],
    ["a whole one that the prompt lacks", [100, 110], [100, 2], -1],
    ["half a one behind another text", [101, 111], [100, 2], -1],
    ["half a one of which the prompt has the other half", [100, 111], [100, 110], 1],
  ])("passes over %s at the end", (_name, seen, prompt, expected) => {
    expect(match(seen, prompt).allButHalf).toBe(expected);
  });

  it.each<[string, number[], number[], [number, number]]>([
    ["the same tokens", [100, 101, 100], [100, 101, 101], [2, 2]],
    ["another cut", [100, 101, 1, 100], [102, 1, 101], [3, 2]],
    ["nothing but half a token", [100, 101], [104], [0, 0]],
    ["no more than is asked for", [100, 101], [100, 101], [1, 1]],
    ["half a character less", [100, 101, 111], [102, 2], [2, 1]],
  ])("finds what is the same before a difference: %s", (_name, seen, prompt, expected) => {
    const { seen: ours, prompt: theirs } = match(seen, prompt, prompt.length - 1);
    expect([ours, theirs]).toEqual(expected);
  });
});
