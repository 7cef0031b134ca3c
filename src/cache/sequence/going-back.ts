/** To how many of its first tokens a sequence can be cut back: pairs are where they were, but a state is one of all tokens. */
import type { KvSequence } from "./kv-sequence.ts";

/** The most of the first `tokens` tokens that `truncate` can go back to; 0 where it cannot. */
export function reach({ whole, states, tokensSeen }: KvSequence, tokens: number): number {
  if (!whole) return 0;
  return states ? states.reach(tokens, tokensSeen) : tokens;
}

/** The same, of fewer tokens each time, as far as there are states to go back to. */
export function* reaches(sequence: KvSequence, tokens: number): Iterable<number> {
  for (let at = reach(sequence, tokens); at > 0; at = reach(sequence, at - 1)) yield at;
}

/** Keeps what it takes to go back to the tokens seen, as long as nothing is dropped. */
export function checkpoint({ whole, states, tokensSeen }: KvSequence): void {
  if (whole) states?.checkpoint(tokensSeen);
  else states?.forgetCheckpoints();
}
