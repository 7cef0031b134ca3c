import type { Tokenizer } from "../text/types.ts";

type TokenBytes = Pick<Tokenizer, "tokenBytes">;

/** How many tokens at the start of the two are the same. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

/** A stream of bytes in which each control token is one item of its own (256 + id). */
function* items(
  tokenizer: TokenBytes,
  tokens: readonly number[],
): Generator<{ item: number; ends: number }> {
  for (let i = 0; i < tokens.length; i += 1) {
    const bytes = tokenizer.tokenBytes(tokens[i]);
    if (bytes.length === 0) yield { item: 256 + tokens[i], ends: i + 1 };
    for (let b = 0; b < bytes.length; b += 1)
      yield { item: bytes[b], ends: b === bytes.length - 1 ? i + 1 : -1 };
  }
}

/**
 * How many tokens of `prompt` a conversation that has seen `cached` need not run again, or -1 if its cache
 * is of no use. Cached tokens may cut the same text otherwise than the prompt does (an answer is generated
 * token by token, but tokenised anew as part of the next prompt), so what counts is that the bytes agree and
 * that the cache ends where a token of the prompt ends.
 */
export function reusablePrefix(
  tokenizer: TokenBytes,
  cached: readonly number[],
  prompt: readonly number[],
): number {
  if (cached.length === 0) return 0;
  const theirs = items(tokenizer, prompt);
  let used = 0;
  for (const { item } of items(tokenizer, cached)) {
    const next = theirs.next();
    if (next.done || next.value.item !== item) return -1;
    used = next.value.ends;
  }
  return used > 0 ? used : -1;
}
