import { invalidArgument } from "../errors.ts";
import { fromByteAlphabet } from "./byte-level.ts";
import { byteOfSpelling, SPACE_MARK, TOKEN_TYPE, type Vocabulary } from "./gguf/gguf-vocabulary.ts";

const utf8 = new TextEncoder();

/** @throws invalid_argument unless `id` is a token of the vocabulary. */
function checkTokenId(vocabulary: Vocabulary, id: number): void {
  const count = vocabulary.tokens.length;
  if (!Number.isInteger(id) || id < 0 || id >= count)
    throw invalidArgument("token id", `${id} is not in 0 to ${count - 1}`);
}

/**
 * The bytes token `id` writes: none for control and unknown tokens.
 * @throws invalid_argument for an id outside the vocabulary.
 */
export function bytesOfToken(vocabulary: Vocabulary, id: number): Uint8Array {
  checkTokenId(vocabulary, id);
  const token = vocabulary.tokens[id]!;
  const byteLevel = vocabulary.model === "gpt2";
  switch (vocabulary.types[id]) {
    case TOKEN_TYPE.control:
    case TOKEN_TYPE.unknown:
      return new Uint8Array(0);
    case TOKEN_TYPE.byte:
      return Uint8Array.of(byteOfSpelling(token)!);
    case TOKEN_TYPE.userDefined:
      return utf8.encode(byteLevel ? token : token.replaceAll(SPACE_MARK, " "));
    default:
      if (byteLevel) return fromByteAlphabet(token) ?? utf8.encode(token);
      return utf8.encode(token.replaceAll(SPACE_MARK, " "));
  }
}

/**
 * Text of `ids`, U+FFFD for bytes that are no UTF-8.
 * @param options.special spell control and unknown tokens out; else they are left out
 * @param options.stripLeadingSpace take away one space in front
 */
export function decodeTokens(
  vocabulary: Vocabulary,
  ids: readonly number[],
  options: { special: boolean; stripLeadingSpace: boolean },
): string {
  const parts = ids.map((id) => {
    const bytes = bytesOfToken(vocabulary, id);
    const type = vocabulary.types[id];
    const hidden = type === TOKEN_TYPE.control || type === TOKEN_TYPE.unknown;
    return hidden && options.special ? utf8.encode(vocabulary.tokens[id]) : bytes;
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  // A BOM is text here, not a mark.
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(all);
  return options.stripLeadingSpace && text.startsWith(" ") ? text.slice(1) : text;
}

/** Half a surrogate pair has no UTF-8: it becomes U+FFFD, as TextEncoder would make it. */
export const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, "\uFFFD");
