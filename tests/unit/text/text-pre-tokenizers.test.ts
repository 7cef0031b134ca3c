import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createTokenizer } from "../../../src/text/create-tokenizer.ts";
import { otherPreTokenizer } from "../../../src/text/other-pre-tokenizers.ts";
import { splitWords } from "../../../src/text/pre-tokenizer.ts";

const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/text-byte-level.json", import.meta.url), "utf8"),
) as { metadata: object; strings: string[]; ids: Record<string, [number[], number[]][]> };
const named = (pre: string) =>
  createTokenizer(new Map(Object.entries({ ...fixture.metadata, "tokenizer.ggml.pre": pre })));

it.each([
  ["falcon3", "llama-bpe"],
  ["pixtral", "llama-bpe"],
  ["phi-2", "gpt-2"],
  ["olmo", "gpt-2"],
  ["refact", "smollm"],
  ["command-r", "smollm"],
  ["megrez", "qwen2"],
  ["qwen35", "qwen35"],
])("a GGUF that names %s has the ids of %s", async (name, known) => {
  const tokenizer = await named(name);
  const ids = fixture.strings.map((text) => tokenizer.encode(text));
  expect(ids).toEqual(fixture.ids[known]!.map(([plain]) => plain));
});

it.each([
  ["dbrx", "IT'S 12345 x", ["IT", "'S", " ", "123", "45", " x"]],
  ["stablelm2", "a 123", ["a", " ", "1", "2", "3"]],
  ["tekken", "helloWorld 12", ["hello", "World", " ", "1", "2"]],
  ["gpt-4o", "helloWorld's 1234", ["hello", "World's", " ", "123", "4"]],
  ["deepseek-v3", "x1234漢字y", ["x", "123", "4", "漢字", "y"]],
  ["seed-coder", "a!\n12", ["a", "!", "\n", "1", "2"]],
])("%s cuts %j", (name, text, words) => {
  expect(splitWords(text, otherPreTokenizer(name))).toEqual(words);
});

it.each(["dbrx", "gpt-4o"])("%s has the ids of transformers on hard strings", async (name) => {
  const others = JSON.parse(
    readFileSync(new URL("../fixtures/text-other-pre-tokenizers.json", import.meta.url), "utf8"),
  ) as Record<string, number[][]>;
  const tokenizer = await named(name);
  expect(fixture.strings.map((text) => tokenizer.encode(text))).toEqual(others[name]);
});

it("a name that nobody knows is refused, with those that are known", async () => {
  await expect(named("poem-bpe")).rejects.toMatchObject({
    code: "unsupported_model",
    message: expect.stringContaining("poem-bpe"),
    hint: expect.stringMatching(/llama-bpe.*tekken/),
  });
});
