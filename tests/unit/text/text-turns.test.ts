/** A small SentencePiece vocabulary (make_text_fixtures.py) with what sets Gemma's apart. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { createGgufTokenizer } from "../../../src/text/gguf/gguf-tokenizer.ts";
import * as jinja from "../../../src/text/jinja.ts";
import { createChatTemplate } from "../../../src/text/template/chat-template.ts";

const [, bare] = JSON.parse(
  readFileSync(new URL("../fixtures/text-sentencepiece.json", import.meta.url), "utf8"),
) as { metadata: Record<string, unknown>; strings: string[]; ids: number[][] }[];

const tokens = [...(bare!.metadata["tokenizer.ggml.tokens"] as string[])];
const types = [...(bare!.metadata["tokenizer.ggml.token_type"] as number[])];
const scores = [...(bare!.metadata["tokenizer.ggml.scores"] as number[])];
const add = (token: string, type: number): number => {
  types.push(type);
  scores.push(-1000);
  return tokens.push(token) - 1;
};
const start = add("<start_of_turn>", 3);
const end = add("<end_of_turn>", 3);
const unused = add("<unused0>", 3);
const strike = add("</s>", 4);
const lines = add("\n\n", 4);
const [two, three, four] = [add("  ", 4), add("   ", 4), add("    ", 4)];
const metadata = new Map<string, unknown>(
  Object.entries({
    ...bare!.metadata,
    "tokenizer.ggml.tokens": tokens.map((token, id) => (id === 2 ? "<eos>" : token)),
    "tokenizer.ggml.token_type": types,
    "tokenizer.ggml.scores": scores,
    "tokenizer.ggml.add_bos_token": true,
  }),
);
const tokenizer = createGgufTokenizer(metadata);
const template = createChatTemplate(metadata, tokenizer.vocabulary, jinja);

describe("a vocabulary with turns", () => {
  it("ends an answer at the end of a turn, though eos is another, and not at a spelled tag", () => {
    expect([...tokenizer.endTokens].sort((a, b) => a - b)).toEqual([2, end]);
    expect(tokenizer.encode("</s>")).toEqual([strike]);
  });

  it("matches user-defined tokens whole, control and unused ones only where asked", () => {
    expect(tokenizer.encode("\n\n")).toEqual([lines]);
    expect(tokenizer.encode("<unused0>")).not.toContain(unused);
    expect(tokenizer.encode("<unused0>", { special: true })).toEqual([unused]);
  });

  it("merges user-defined runs of spaces, short ones first, as transformers does", () => {
    const runs = (count: number) => tokenizer.encode(" ".repeat(count));
    expect([runs(2), runs(3), runs(4)]).toEqual([[two], [three], [four]]);
    expect(runs(5)).toEqual([two, three]);
    expect(runs(7)).toEqual([four, three]);
    expect(tokenizer.encode("a  a")).toContain(two);
    expect(tokenizer.decode(tokenizer.encode("a     a"))).toBe("a     a");
  });

  it("puts bos in front of a text of its own, where the file says so or its kind implies it", () => {
    const prefix = (changes: Record<string, unknown>) =>
      createGgufTokenizer(new Map([...metadata, ...Object.entries(changes)])).prefix;
    expect(tokenizer.prefix).toEqual([1]);
    expect(tokenizer.encode("a")).not.toContain(1);
    expect(prefix({ "tokenizer.ggml.add_bos_token": undefined })).toEqual([1]);
    expect(prefix({ "tokenizer.ggml.add_bos_token": false })).toEqual([]);
    expect(prefix({ "tokenizer.ggml.bos_token_id": undefined })).toEqual([]);
    const byteLevel = { "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.merges": [] };
    const silent = { ...byteLevel, "tokenizer.ggml.add_bos_token": undefined };
    expect(prefix({ ...silent, "tokenizer.ggml.pre": "llama-bpe" })).toEqual([1]);
    expect(prefix({ ...silent, "tokenizer.ggml.pre": "qwen2" })).toEqual([]);
    expect(prefix({ ...byteLevel, "tokenizer.ggml.pre": "qwen2" })).toEqual([1]);
  });

  it("puts the system text in front of the first user turn where the file has no template", () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hi <end_of_turn>" },
    ] as const;
    expect(template.render(messages, { addGenerationPrompt: true })).toBe(
      "<s><start_of_turn>user\nBe brief.\n\nHi <end_of_turn><end_of_turn>\n<start_of_turn>model\n",
    );
    const ids = template.encode(messages, tokenizer);
    expect(ids.filter((id) => id === end)).toHaveLength(1);
    expect(ids.slice(0, 2)).toEqual([1, start]);
  });

  it("turns a template's refusal into a typed error", () => {
    const source =
      "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
    const strict = createChatTemplate(
      new Map(metadata).set("tokenizer.chat_template", source),
      tokenizer.vocabulary,
      jinja,
    );
    expect(() => strict.render([{ role: "system", content: "x" }])).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        message: expect.stringContaining("System role not supported"),
      }),
    );
  });
});
