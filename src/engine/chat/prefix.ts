import type { Tokenizer } from "../../text/types.ts";

type TokenBytes = Pick<Tokenizer, "tokenBytes">;

/** How many tokens at the start of the two are the same. */
export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length += 1;
  return length;
}

/** What of a prompt a conversation has seen. */
export interface PrefixMatch {
  /** Tokens at the start of the prompt that all tokens seen stand for; -1: the prompt does not go on from them. */
  readonly all: number;
  /** The same, where a character that the tokens seen end in the middle of is passed over. */
  readonly allButHalf: number;
  /** The most tokens at the start of those seen that stand for whole tokens of the prompt, and how many these are. */
  readonly seen: number;
  readonly prompt: number;
}

/**
 * Compares what was seen with a prompt, of which the first `most` tokens count for `seen` and `prompt`. Tokens seen may
 * cut the same text otherwise than the prompt does (an answer is generated token by token, but tokenised anew as part
 * of the next prompt), so what counts is that the bytes agree, and that a token of the prompt ends where those seen do.
 */
export function matchPrefix(
  tokenizer: TokenBytes,
  seen: readonly number[],
  prompt: readonly number[],
  most = prompt.length,
): PrefixMatch {
  if (seen.length === 0) return { all: 0, allButHalf: 0, seen: 0, prompt: 0 };
  const [ours, theirs] = [itemsOf(tokenizer, seen), itemsOf(tokenizer, prompt)];
  const whole = ours.items.length - halfCharacter(ours.items);
  const match = { all: -1, allButHalf: -1, seen: 0, prompt: 0 };
  for (let i = 0; i < ours.items.length && ours.items[i] === theirs.items[i]; i += 1) {
    const [own, used] = [ours.ends[i]!, theirs.ends[i]!];
    if (used < 0) continue;
    if (i + 1 === whole) match.allButHalf = used;
    if (own === seen.length) match.all = used;
    if (own > 0 && used <= most) [match.seen, match.prompt] = [own, used];
  }
  return match;
}

/** Tokens seen that can be gone back to and the prompt goes on from, and how many of its tokens these are. */
type Cut = Pick<PrefixMatch, "seen" | "prompt">;

/** The first of `reaches`, numbers of tokens seen, that the prompt goes on from; `match` says how far the two agree. */
export function cutFor(
  tokenizer: TokenBytes,
  match: Cut,
  seen: readonly number[],
  prompt: readonly number[],
  reaches: Iterable<number>,
): Cut {
  for (const tokens of reaches) {
    if (tokens === match.seen) return match;
    const { all } = matchPrefix(tokenizer, seen.slice(0, tokens), prompt);
    if (all > 0) return { seen: tokens, prompt: all };
  }
  return { seen: 0, prompt: 0 };
}

/**
 * The bytes of tokens, where each control token is one item of its own (256 + id), and beside each item how many
 * tokens end with it, or -1.
 */
function itemsOf(
  tokenizer: TokenBytes,
  tokens: readonly number[],
): { items: number[]; ends: number[] } {
  const items: number[] = [];
  const ends: number[] = [];
  tokens.forEach((token, i) => {
    const bytes = tokenizer.tokenBytes(token);
    for (const item of bytes.length > 0 ? bytes : [256 + token]) {
      items.push(item);
      ends.push(-1);
    }
    ends[ends.length - 1] = i + 1;
  });
  return { items, ends };
}

/** Bytes at the end that begin a character of UTF-8 and do not finish it. */
function halfCharacter(items: readonly number[]): number {
  for (let count = 1; count <= 3; count += 1) {
    const item = items[items.length - count] ?? 0;
    if (item >= 0x80 && item < 0xc0) continue;
    const length = item >= 0xf0 ? 4 : item >= 0xe0 ? 3 : item >= 0xc0 ? 2 : 1;
    return item < 0xf8 && length > count ? count : 0;
  }
  return 0;
}
