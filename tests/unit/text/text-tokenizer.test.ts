import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createGgufTokenizer, type GgufTokenizer } from "../../../src/text/gguf/gguf-tokenizer.ts";
import { LiteralFinder } from "../../../src/text/literal-finder.ts";
import { preTokenizerNamed, splitWords } from "../../../src/text/pre-tokenizer.ts";
import { StreamingDecoder } from "../../../src/text/streaming-decoder.ts";

type PreTokenizerName = "gpt-2" | "smollm" | "llama-bpe" | "qwen2";

interface ByteLevelFixture {
  metadata: Record<string, unknown>;
  strings: string[];
  /** [ids, ids with control tokens parsed] of each string. */
  ids: Record<PreTokenizerName, [number[], number[]][]>;
}

interface SentencePieceFixture {
  metadata: Record<string, unknown>;
  strings: string[];
  ids: number[][];
}

// Not as a module: bundlers refuse the half surrogate pairs in it.
const fixture = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}`, import.meta.url), "utf8"));
const byteLevel = fixture("text-byte-level.json") as ByteLevelFixture;
const sentencePiece = fixture("text-sentencepiece.json") as SentencePieceFixture[];

const metadata = (fields: object, changes: Record<string, unknown> = {}) =>
  new Map<string, unknown>([...Object.entries(fields), ...Object.entries(changes)]);

const preTokenizers: PreTokenizerName[] = ["gpt-2", "smollm", "llama-bpe", "qwen2"];
const gpt2 = (changes: Record<string, unknown> = {}) =>
  createGgufTokenizer(metadata(byteLevel.metadata, { "tokenizer.ggml.pre": "gpt-2", ...changes }));
const [prefixed, bare] = sentencePiece.map((fixture) =>
  createGgufTokenizer(metadata(fixture.metadata)),
) as [GgufTokenizer, GgufTokenizer];

/** Any code point, and often those that pre-tokenizers treat apart. */
const unit = fc.oneof(
  fc.constantFrom(..." \t\r\n\u00a0\u0085\ufeff'sSllt09٣²aZé漢😀_<|>▁"),
  fc
    .nat({ max: 0x10ffff })
    .filter((code) => code < 0xd800 || code > 0xdfff)
    .map((code) => String.fromCodePoint(code)),
);
const anyText = fc.string({ unit, maxLength: 80 });

describe.each(preTokenizers)("byte-level BPE, pre-tokenizer %s", (pre) => {
  const tokenizer = createGgufTokenizer(
    metadata(byteLevel.metadata, { "tokenizer.ggml.pre": pre }),
  );

  it("gives the reference's ids", () => {
    const ids = byteLevel.strings.map((text) => [
      tokenizer.encode(text),
      tokenizer.encode(text, { special: true }),
    ]);
    expect(ids).toEqual(byteLevel.ids[pre]);
  });

  it("gives back any text", () => {
    const expected = (text: string) => (pre === "qwen2" ? text.normalize("NFC") : text);
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(expected(text));
      }),
    );
  });
});

describe.each([
  ["with a space in front", prefixed, sentencePiece[0]!],
  ["without", bare, sentencePiece[1]!],
] as const)("SentencePiece %s", (_, tokenizer, fixture) => {
  it("gives the reference's ids", () => {
    expect(fixture.strings.map((text) => tokenizer.encode(text))).toEqual(fixture.ids);
  });

  it("gives back any text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        // U+2581 is how these vocabularies write a space.
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.replaceAll("\u2581", " "));
      }),
    );
  });
});

describe("SentencePiece", () => {
  it("puts the space in front of every stretch between control tokens, as llama.cpp does", () => {
    const [eos, a] = [2, prefixed.encode("a")];
    expect(prefixed.encode("a</s>a", { special: true })).toEqual([...a, eos, ...a]);
    expect(prefixed.encode("a</s>a")).not.toContain(eos);
  });

  it("streams any ids as it decodes them", () => {
    for (const tokenizer of [prefixed, bare]) {
      const ids = fc.array(fc.nat({ max: tokenizer.vocabSize - 1 }));
      fc.assert(
        fc.property(ids, (sequence) => {
          const decoder = new StreamingDecoder(tokenizer);
          const parts = sequence.map((id) => decoder.push(id));
          const [text, whole] = [parts.join(""), tokenizer.decode(sequence)];
          expect(whole.slice(0, text.length)).toBe(text);
          expect(whole.slice(text.length)).toMatch(/^\ufffd?$/);
        }),
      );
    }
  });
});

describe("tokens", () => {
  it("have bytes: none for control tokens, the byte for byte tokens", () => {
    expect(gpt2().tokenBytes(1)).toEqual(new Uint8Array(0));
    expect(prefixed.tokenBytes(prefixed.vocabulary.ids.get("<0x0A>")!)).toEqual(Uint8Array.of(10));
    const the = gpt2().vocabulary.ids.get("Ġthe")!;
    expect(new TextDecoder().decode(gpt2().tokenBytes(the))).toBe(" the");
  });

  it("of all byte values exist", () => {
    const tokenizer = gpt2();
    const bytes = new Set<number>();
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const token = tokenizer.tokenBytes(id);
      if (token.length === 1) bytes.add(token[0]!);
    }
    expect(bytes.size).toBe(256);
  });

  it("that end an answer: eos, eot and known spellings among the control tokens", () => {
    expect([...gpt2().endTokens].sort()).toEqual([0, 2]);
    expect([...gpt2({ "tokenizer.ggml.eot_token_id": 1 }).endTokens].sort()).toEqual([0, 1, 2]);
    expect([...prefixed.endTokens]).toEqual([2]);
  });

  it("are checked against the vocabulary", () => {
    const tokenizer = gpt2();
    for (const id of [-1, 0.5, tokenizer.vocabSize, Number.NaN]) {
      expect(() => tokenizer.tokenBytes(id)).toThrow(/token id/);
      expect(() => tokenizer.decode([id])).toThrow(/token id/);
    }
  });
});

describe("strings that are tokens as a whole", () => {
  const texts = (literals: string[], text: string) =>
    new LiteralFinder(literals).split(text).map((piece) => piece.text);

  it("are found leftmost first, then longest", () => {
    expect(texts(["<a>", "<a>b", "b<"], "x<a>b<a>c")).toEqual(["x", "<a>b", "<a>", "c"]);
    expect(texts(["aa"], "aaa")).toEqual(["aa", "a"]);
    expect(texts(["abc", "bx"], "abx")).toEqual(["a", "bx"]);
    expect(texts(["", "b"], "ab")).toEqual(["a", "b"]);
    expect(texts([], "ab")).toEqual(["ab"]);
    expect(texts(["a"], "")).toEqual([]);
  });
});

describe("pre-tokenizers", () => {
  it("fold the long s of a contraction, as (?i:'s) does in the reference", () => {
    const split = (text: string) => splitWords(text, preTokenizerNamed("llama-bpe"));
    expect(split("it'ſ 'ſet 'SET 'LLs")).toEqual([
      "it",
      "'ſ",
      " '",
      "ſet",
      " '",
      "SET",
      " '",
      "LLs",
    ]);
  });
});
