import type { Tokenizer } from "../../../src/text/types.ts";

const utf8 = new TextEncoder();

/** All bytes, words of JSON as several characters, and an end: what a small byte-level vocabulary is like. */
export function byteTokenizer(words: readonly string[] = WORDS): Tokenizer {
  const bytes = [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ...words.map((word) => utf8.encode(word)),
    new Uint8Array(0),
  ];
  const end = bytes.length - 1;
  const text = (ids: readonly number[]): string =>
    new TextDecoder().decode(Uint8Array.from(ids.flatMap((id) => [...bytes[id]!])));
  return {
    vocabSize: bytes.length,
    endTokens: new Set([end]),
    prefix: [],
    tokenBytes: (id) => bytes[id]!,
    decode: text,
    // The longest token each time.
    encode: (input) => {
      const left = [...utf8.encode(input)];
      const ids: number[] = [];
      while (left.length > 0) {
        let best = left[0]!;
        bytes.forEach((token, id) => {
          const longer = token.length > bytes[best]!.length;
          if (longer && token.every((byte, i) => byte === left[i])) best = id;
        });
        ids.push(best);
        left.splice(0, bytes[best]!.length);
      }
      return ids;
    },
  };
}

const WORDS = [
  '{"',
  '":',
  '": ',
  '",',
  '", "',
  '"}',
  "},",
  "]]",
  "}}",
  "[[",
  "true",
  "false",
  "null",
  ', "',
  "\n  ",
  "  ",
  '\\"',
  "\\n",
  "\\u",
  "00",
  "12",
  "345",
  "0.",
  ".5",
  "e+",
  "-1",
  "ab",
  "the ",
  "abc",
  "é",
  "日本",
  "\u{1f600}",
  "-01-",
  "x_",
  '":[',
  '"]',
];
