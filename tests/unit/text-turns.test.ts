/** A small SentencePiece vocabulary (make_text_fixtures.py) with what sets Gemma's apart. */

import { readFileSync } from "node:fs";
import * as jinja from "@huggingface/jinja";
import { describe, expect, it } from "vitest";
import { createChatTemplate } from "../../src/text/chat-template.ts";
import { createGgufTokenizer } from "../../src/text/gguf-tokenizer.ts";

const [, bare] = JSON.parse(
  readFileSync(new URL("fixtures/text-sentencepiece.json", import.meta.url), "utf8"),
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
