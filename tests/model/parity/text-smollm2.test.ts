import { readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { NodeFileSource } from "../../../src/formats/node-source.ts";
import {
  createExternalTokenizer,
  type TokenizerLike,
} from "../../../src/text/external-tokenizer.ts";
import { createGgufTokenizer } from "../../../src/text/gguf/gguf-tokenizer.ts";
import * as jinja from "../../../src/text/jinja.ts";
import { StreamingDecoder } from "../../../src/text/streaming-decoder.ts";
import { createChatTemplate } from "../../../src/text/template/chat-template.ts";
import type { ChatMessage } from "../../../src/text/types.ts";

interface Fixture {
  /** text, its ids, its ids with control tokens parsed, the text of its ids */
  cases: [string, number[], number[], string][];
  /** ids, their text, their text with control tokens */
  decodes: [number[], string, string][];
  chats: { messages: ChatMessage[]; prompt: boolean; text: string; ids: number[] }[];
  hostile: { content: string; ids: number[] }[];
  /** Bytes the vocabulary has no token for. */
  noToken: number[];
}

const PATH = process.env.WINNOW_MODEL ?? ".cache/models/SmolLM2-135M-Instruct.Q4_1.gguf";
const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/text-smollm2.json", import.meta.url), "utf8"),
) as Fixture;

const source = await NodeFileSource.open(PATH);
const { metadata } = await parseGguf(source);
await source.close();
const tokenizer = createGgufTokenizer(metadata);
const template = createChatTemplate(metadata, tokenizer.vocabulary, jinja);

describe("SmolLM2's tokenizer", () => {
  it("gives the reference's ids for hard strings", () => {
    for (const [text, ids, special] of fixture.cases) {
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids);
      expect(tokenizer.encode(text, { special: true }), JSON.stringify(text)).toEqual(special);
    }
    expect(fixture.cases.length).toBeGreaterThanOrEqual(200);
  });

  it("gives the reference's text for those ids and for arbitrary ones", () => {
    for (const [, ids, , decoded] of fixture.cases) expect(tokenizer.decode(ids)).toBe(decoded);
    for (const [ids, plain, special] of fixture.decodes) {
      expect(tokenizer.decode(ids)).toBe(plain);
      expect(tokenizer.decode(ids, { special: true })).toBe(special);
    }
  });

  it("writes every byte that UTF-8 text needs but the few it has no token for", () => {
    const written = new Set<number>();
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const bytes = tokenizer.tokenBytes(id);
      if (bytes.length === 1) written.add(bytes[0]!);
    }
    const missing = Array.from({ length: 256 }, (_, byte) => byte).filter((b) => !written.has(b));
    expect(missing).toEqual(fixture.noToken);
  });

  it("gives back any text of bytes it has", () => {
    const lost = new Set(fixture.noToken);
    const utf8 = new TextEncoder();
    const writable = (char: string) => !utf8.encode(char).some((byte) => lost.has(byte));
    const unit = fc.oneof(
      fc.constantFrom(..." \t\r\n\u0085'sSll09٣²aé漢😀<|>"),
      fc
        .nat({ max: 0x10ffff })
        .filter((code) => code < 0xd800 || code > 0xdfff)
        .map((code) => String.fromCodePoint(code))
        .filter(writable),
    );
    const text = fc.string({ unit, maxLength: 60 });
    fc.assert(
      fc.property(text, (s) => {
        expect(tokenizer.decode(tokenizer.encode(s))).toBe(s);
      }),
    );
  });

  it("streams any ids as it decodes them", () => {
    const id = fc.nat({ max: tokenizer.vocabSize - 1 });
    // The first tokens are control tokens and single bytes, where characters get cut.
    const bytes = fc.nat({ max: 260 });
    fc.assert(
      fc.property(fc.array(fc.oneof(id, bytes)), (ids) => {
        const decoder = new StreamingDecoder(tokenizer);
        const parts = ids.map((next) => decoder.push(next));
        const [text, whole] = [parts.join(""), tokenizer.decode(ids)];
        expect(whole.slice(0, text.length)).toBe(text);
        expect(whole.slice(text.length)).toMatch(/^\ufffd?$/);
      }),
    );
  });

  it("ends an answer at <|im_end|> and <|endoftext|>", () => {
    expect([...tokenizer.endTokens].sort()).toEqual([0, 2]);
  });
});

describe("SmolLM2's chat template", () => {
  it("equals apply_chat_template, as text and as ids", () => {
    for (const { messages, prompt, text, ids } of fixture.chats) {
      expect(template.render(messages, { addGenerationPrompt: prompt })).toBe(text);
      expect(template.encode(messages, tokenizer, { addGenerationPrompt: prompt })).toEqual(ids);
    }
    expect(fixture.chats.length).toBeGreaterThanOrEqual(20);
  });

  it("takes control tokens from the template alone", () => {
    for (const { content, ids } of fixture.hostile)
      expect(template.encode([{ role: "user", content }], tokenizer), content).toEqual(ids);
  });
});

describe("a tokenizer of @huggingface/transformers in its place", () => {
  const external = createExternalTokenizer(transformersTokenizer(), metadata);

  // Its \d is ASCII and its \s JavaScript's, so the few strings with others are not compared.
  const same = fixture.cases.filter(([text]) => !/[^\P{N}0-9]|[\u0085\ufeff]/u.test(text));

  it("gives the same ids where no control token is spelled", () => {
    expect(same.length).toBeGreaterThan(200);
    for (const [text, ids, special] of same) {
      expect(external.encode(text, { special: true }), JSON.stringify(text)).toEqual(special);
      if (String(ids) === String(special))
        expect(external.encode(text), JSON.stringify(text)).toEqual(ids);
    }
  });

  it("keeps spelled control tokens ordinary", () => {
    for (const { content, ids } of fixture.hostile) {
      const mine = template.encode([{ role: "user", content }], external);
      const isControl = (id: number) => id <= 16;
      expect(mine.filter(isControl)).toEqual(ids.filter(isControl));
      expect(external.decode(mine, { special: true })).toBe(
        tokenizer.decode(ids, { special: true }),
      );
    }
  });

  it("refuses the tokenizer of another model", () => {
    const other = { encode: () => [5, 6], decode: () => "" };
    expect(() => createExternalTokenizer(other, metadata)).toThrow(/<\|im_start\|>/);
  });
});

/** What @huggingface/transformers makes of a tokenizer.json, in the form that it gives its tokenizers. */
function transformersTokenizer(): TokenizerLike {
  const { tokens, types } = tokenizer.vocabulary;
  const added = tokens
    .map((content, id) => ({ id, content, special: true, normalized: false }))
    .filter(({ id }) => types[id] === 3);
  const inner = new Tokenizer(
    {
      version: "1.0",
      added_tokens: added,
      normalizer: null,
      pre_tokenizer: {
        type: "Sequence",
        pretokenizers: [
          { type: "Digits", individual_digits: true },
          { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
        ],
      },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: metadata.get("tokenizer.ggml.merges"),
      },
    },
    { tokenizer_class: "GPT2Tokenizer" },
  );
  return {
    encode: (text, options) => inner.encode(text, options).ids,
    decode: (ids, options) => inner.decode(ids, options),
  };
}
