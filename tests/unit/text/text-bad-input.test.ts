import { describe, expect, it } from "vitest";
import { type ErrorCode, WinnowError } from "../../../src/errors.ts";
import { createExternalTokenizer } from "../../../src/text/external-tokenizer.ts";
import { createGgufTokenizer } from "../../../src/text/gguf/gguf-tokenizer.ts";

const byteLevel: Record<string, unknown> = {
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.tokens": ["<|end|>", "a", "b", "c", "ab"],
  "tokenizer.ggml.token_type": Int32Array.of(3, 1, 1, 1, 1),
  "tokenizer.ggml.merges": ["a b"],
  "tokenizer.ggml.eos_token_id": 0,
};
const sentencePiece: Record<string, unknown> = {
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": ["<unk>", "</s>", "<0x41>", "a", "b", "ab", "▁"],
  "tokenizer.ggml.token_type": [2, 3, 6, 1, 1, 1, 1],
  "tokenizer.ggml.scores": Float32Array.of(0, 0, 0, -1, -2, -3, -4),
  "tokenizer.ggml.unknown_token_id": 0,
};

function build(fields: Record<string, unknown>, changes: Record<string, unknown>) {
  const all = Object.entries({ ...fields, ...changes });
  return createGgufTokenizer(new Map(all.filter(([, value]) => value !== undefined)));
}

function thrownBy(action: () => unknown): WinnowError {
  try {
    action();
  } catch (thrown) {
    if (thrown instanceof WinnowError) return thrown;
    throw thrown;
  }
  throw new Error("nothing was thrown");
}

type Case = [what: string, fields: Record<string, unknown>, key: string, value: unknown, RegExp];

const bad: Case[] = [
  ["no model", byteLevel, "model", undefined, /missing/],
  ["a model that is no string", byteLevel, "model", 5, /not a string/],
  ["no tokens", byteLevel, "tokens", undefined, /missing/],
  ["no token at all", byteLevel, "tokens", [], /0 entries/],
  ["tokens that are no strings", byteLevel, "tokens", [1, 2], /array of strings/],
  ["too few types", byteLevel, "token_type", [1, 1], /2 entries.*5/],
  ["a type of 1.5", byteLevel, "token_type", [3, 1, 1.5, 1, 1], /token 2 has type 1.5/],
  ["types that are no numbers", byteLevel, "token_type", "normal", /array of numbers/],
  ["a byte token with another spelling", byteLevel, "token_type", [3, 6, 1, 1, 1], /<0xNN>/],
  ["no merges", byteLevel, "merges", undefined, /missing/],
  ["a merge of one token", byteLevel, "merges", ["a b", "ab"], /entry 1 "ab"/],
  ["an eot that is no whole number", byteLevel, "eot_token_id", 1.5, /whole number/],
  ["a pre-tokenizer that is no string", byteLevel, "pre", 3, /not a string/],
  ["no scores", sentencePiece, "scores", undefined, /missing/],
  ["too few scores", sentencePiece, "scores", new Float32Array(6), /6 entries.*7/],
  ["a score that is no number", sentencePiece, "scores", new Float32Array(7).fill(NaN), /token 0/],
  ["a bos flag that is no boolean", byteLevel, "add_bos_token", 1, /boolean/],
  ["a prefix flag that is no boolean", sentencePiece, "add_space_prefix", 1, /boolean/],
];

describe("a damaged tokenizer", () => {
  it.each(bad)("with %s is a bad model file", (_, fields, name, value, message) => {
    const key = `tokenizer.ggml.${name}`;
    const error = thrownBy(() => build(fields, { [key]: value }));
    expect(error.code).toBe("bad_model_file" satisfies ErrorCode);
    expect(error.message).toMatch(message);
    expect(error.message).toContain(key);
    expect(error.details.field).toBe(key);
    expect(error.hint).not.toBe("");
  });

  it("is found under an external tokenizer too", () => {
    const external = { encode: () => [], decode: () => "" };
    expect(thrownBy(() => createExternalTokenizer(external, new Map())).code).toBe(
      "bad_model_file",
    );
  });
});

type Odd = [what: string, Record<string, unknown>, Record<string, unknown>, text: string, number[]];

/** Harmless oddities of real files: what follows is the ids of a text, and what is said. */
const odd: [...Odd, notice: RegExp | undefined][] = [
  ["a type of 0", byteLevel, { token_type: [3, 1, 0, 1, 1] }, "abc", [4, 3], /1 tokens.*1 to 6/],
  ["a type of 7", byteLevel, { token_type: [3, 1, 1, 1, 7] }, "abc", [4, 3], /1 tokens.*1 to 6/],
  ["a negative type", byteLevel, { token_type: [3, -1, 1, 1, 1] }, "abc", [4, 3], /1 to 6/],
  [
    "more types than tokens",
    byteLevel,
    { token_type: new Int32Array(9).fill(1) },
    "c",
    [3],
    undefined,
  ],
  [
    "no types",
    sentencePiece,
    { token_type: undefined, eos_token_id: 1 },
    "abA",
    [6, 5, 2],
    undefined,
  ],
  [
    "more scores than tokens",
    sentencePiece,
    { scores: new Float32Array(9) },
    "A",
    [6, 2],
    undefined,
  ],
  [
    "scores that are whole numbers",
    sentencePiece,
    { scores: Int32Array.of(0, 0, 0, -1, -2, -3, -4) },
    "ab",
    [6, 5],
    undefined,
  ],
  [
    "a merge of an unknown token",
    byteLevel,
    { merges: ["a x", "a b"] },
    "ab",
    [4],
    /1 entries.*"a x"/,
  ],
  [
    "a merge into an unknown token",
    byteLevel,
    { merges: ["b c", "c a", "a b"] },
    "ab",
    [4],
    /2 entries.*"b c"/,
  ],
  [
    "an eos outside the vocabulary",
    byteLevel,
    { eos_token_id: 5 },
    "a",
    [1],
    /eos_token_id is 5.*5 tokens/,
  ],
  ["an eot of -1", byteLevel, { eot_token_id: -1 }, "a", [1], undefined],
  ["an eot of -1 in u32", byteLevel, { eot_token_id: 2 ** 32 - 1 }, "a", [1], undefined],
  ["a bos of 2^64 - 1", byteLevel, { bos_token_id: 2n ** 64n - 1n }, "a", [1], /bos_token_id/],
  [
    "a padding token outside the vocabulary",
    byteLevel,
    { padding_token_id: 99 },
    "a",
    [1],
    undefined,
  ],
];

describe("an odd but harmless tokenizer", () => {
  it.each(odd)("with %s loads", (_, fields, changes, text, ids, notice) => {
    const named = Object.entries(changes).map(([key, value]) => [`tokenizer.ggml.${key}`, value]);
    const tokenizer = build(fields, Object.fromEntries(named));
    expect(tokenizer.encode(text)).toEqual(ids);
    if (notice === undefined) expect(tokenizer.notices).toEqual([]);
    else expect(tokenizer.notices).toEqual([expect.stringMatching(notice)]);
  });

  it("without types knows its bytes, its unknown token and its ends", () => {
    const tokenizer = build(sentencePiece, {
      "tokenizer.ggml.token_type": undefined,
      "tokenizer.ggml.eos_token_id": 1,
    });
    expect(tokenizer.tokenBytes(2)).toEqual(Uint8Array.of(0x41));
    expect(tokenizer.encode("</s>", { special: true })).toEqual([1]);
    expect([...tokenizer.endTokens]).toEqual([1]);
  });

  it("may have tokens with spaces inside", () => {
    const tokenizer = build(sentencePiece, {
      "tokenizer.ggml.tokens": ["a", " b", "c", " bc", "a bc"],
      "tokenizer.ggml.token_type": [1, 1, 1, 1, 1],
      "tokenizer.ggml.merges": [" b c", "a  bc"],
    });
    expect(tokenizer.notices).toEqual([]);
  });

  it("ends at every token that it names as an end", () => {
    const ends = { "tokenizer.ggml.eos_token_ids": Int32Array.of(1, 3, 99, -1) };
    expect([...build(byteLevel, ends).endTokens].sort()).toEqual([0, 1, 3]);
  });
});

describe("a tokenizer that is not supported", () => {
  it.each([
    ["model", "bert", "gpt2, llama"],
    ["pre", "tekken", "smollm"],
  ])("is named, by %s, with those that are", (name, value, supported) => {
    const key = `tokenizer.ggml.${name}`;
    const error = thrownBy(() => build(byteLevel, { [key]: value }));
    expect(error.code).toBe("unsupported_model");
    expect(error.message).toContain(key);
    expect(error.message).toContain(value);
    expect(error.hint).toContain(supported);
    expect(error.details).toMatchObject({ field: key, value });
  });
});

describe("a small but sound one", () => {
  it("works without types, pre-tokenizer and eos", () => {
    const missing = { token_type: undefined, pre: undefined, eos_token_id: undefined };
    const changes = Object.fromEntries(
      Object.entries(missing).map(([name, value]) => [`tokenizer.ggml.${name}`, value]),
    );
    const tokenizer = build(byteLevel, changes);
    expect(tokenizer.encode("abc")).toEqual([4, 3]);
    // Its spelling alone says that it ends a text.
    expect([...tokenizer.endTokens]).toEqual([0]);
  });

  it("never makes a control token out of text", () => {
    const changes = {
      "tokenizer.ggml.token_type": Int32Array.of(3, 1, 1, 1, 3),
      "tokenizer.ggml.pre": "llama-bpe",
    };
    expect(build(byteLevel, changes).encode("ab")).toEqual([1, 2]);
  });

  it("writes one unknown token for what it has neither token nor byte for", () => {
    const tokenizer = build(sentencePiece, { "tokenizer.ggml.add_space_prefix": false });
    expect(tokenizer.encode("aéA")).toEqual([3, 0, 2]);
    expect(tokenizer.encode("<unk>")).not.toContain(1);
    expect(tokenizer.decode([0])).toBe("");
    expect(tokenizer.decode([0], { special: true })).toBe("<unk>");
  });

  it("refuses what is no text", () => {
    const error = thrownBy(() => build(byteLevel, {}).encode(5 as unknown as string));
    expect(error.code).toBe("invalid_argument");
  });
});
