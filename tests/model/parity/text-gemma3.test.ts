/**
 * Gemma 3's tokenizer and a turn-based template against `transformers` (make_gemma_fixtures.py). Its
 * file is not fetched by default: WINNOW_FULL=1 runs this with WINNOW_GEMMA, or the file in
 * .cache/models; tests/unit/text/text-turns.test.ts always runs, on a small vocabulary.
 */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { NodeFileSource } from "../../../src/formats/node-source.ts";
import { createGgufTokenizer } from "../../../src/text/gguf/gguf-tokenizer.ts";
import * as jinja from "../../../src/text/jinja.ts";
import { createChatTemplate } from "../../../src/text/template/chat-template.ts";
import type { ChatMessage } from "../../../src/text/types.ts";

interface Fixture {
  template: string;
  /** text, its ids, its ids with control tokens parsed, the text of its ids */
  cases: [string, number[], number[], string][];
  chats: { messages: ChatMessage[]; prompt: boolean; text: string; ids: number[] }[];
  hostile: { content: string; ids: number[] }[];
  refused: ChatMessage[][];
}

const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/text-gemma3.json", import.meta.url), "utf8"),
) as Fixture;

async function load() {
  const path = process.env.WINNOW_GEMMA ?? ".cache/models/gemma-3-270m-q4_k_m.gguf";
  const source = await NodeFileSource.open(path);
  const { metadata } = await parseGguf(source);
  await source.close();
  const tokenizer = createGgufTokenizer(metadata);
  const withTemplate = new Map(metadata).set("tokenizer.chat_template", fixture.template);
  return { tokenizer, template: createChatTemplate(withTemplate, tokenizer.vocabulary, jinja) };
}

describe("Gemma 3's text", () => {
  it("has a reference of 200 strings and 20 conversations", () => {
    expect(fixture.cases.length).toBeGreaterThanOrEqual(200);
    expect(fixture.chats.length).toBeGreaterThanOrEqual(20);
  });

  if (process.env.WINNOW_FULL === "1")
    it("equals transformers, as ids and as text", async () => {
      const { tokenizer, template } = await load();
      const wrong: string[] = [];
      for (const [text, ids, special, decoded] of fixture.cases) {
        const mine = [tokenizer.encode(text), tokenizer.encode(text, { special: true })];
        if (String(mine) !== String([ids, special])) wrong.push(text);
        expect(tokenizer.decode(ids), JSON.stringify(text)).toBe(decoded);
      }
      expect(wrong).toEqual([]);
      for (const { messages, prompt, text, ids } of fixture.chats) {
        expect(template.render(messages, { addGenerationPrompt: prompt })).toBe(text);
        expect(template.encode(messages, tokenizer, { addGenerationPrompt: prompt })).toEqual(ids);
      }
      for (const { content, ids } of fixture.hostile)
        expect(template.encode([{ role: "user", content }], tokenizer), content).toEqual(ids);
      for (const messages of fixture.refused)
        expect(() => template.render(messages)).toThrow(
          expect.objectContaining({ code: "invalid_argument" }),
        );
      // <eos> and <end_of_turn>
      expect([...tokenizer.endTokens].sort((a, b) => a - b)).toEqual([1, 106]);
    });
});
