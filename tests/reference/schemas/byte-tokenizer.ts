import type { Tokenizer } from "../../../src/text/types.ts";

const utf8 = new TextEncoder();

/**
 * All bytes, words of JSON as several characters, control tokens, and an end: what a small byte-level vocabulary is like.
 */
export function byteTokenizer(
  words: readonly string[] = WORDS,
  controls: readonly string[] = [],
): Tokenizer {
  const written = [
    ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
    ...words.map((word) => utf8.encode(word)),
  ];
  const bytes = [...written, ...[...controls, "END"].map(() => new Uint8Array(0))];
  const end = bytes.length - 1;
  const text = (ids: readonly number[], special = false): string => {
    const parts = ids.map((id) => {
      const control = special ? controls[id - written.length] : undefined;
      return control === undefined ? bytes[id]! : utf8.encode(control);
    });
    return new TextDecoder().decode(Uint8Array.from(parts.flatMap((part) => [...part])));
  };
  const encode = (input: string, special: boolean): number[] => {
    const control = special ? controls.findIndex((one) => input.includes(one)) : -1;
    if (control >= 0) {
      const spelling = controls[control]!;
      const at = input.indexOf(spelling);
      const rest = input.slice(at + spelling.length);
      return [...encode(input.slice(0, at), true), written.length + control, ...encode(rest, true)];
    }
    // The longest token each time.
    const left = [...utf8.encode(input)];
    const ids: number[] = [];
    while (left.length > 0) {
      let best = left[0]!;
      written.forEach((token, id) => {
        const longer = token.length > written[best]!.length;
        if (longer && token.every((byte, i) => byte === left[i])) best = id;
      });
      ids.push(best);
      left.splice(0, written[best]!.length);
    }
    return ids;
  };
  return {
    vocabSize: bytes.length,
    endTokens: new Set([end]),
    prefix: [],
    tokenBytes: (id) => bytes[id]!,
    decode: (ids, { special = false } = {}) => text(ids, special),
    encode: (input, { special = false } = {}) => encode(input, special),
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
