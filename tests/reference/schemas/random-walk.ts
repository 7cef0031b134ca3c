import type { Constraint } from "../../../src/constraint/constraint.ts";
import type { Tokenizer } from "../../../src/text/types.ts";

/** The text of `randomTokens`. */
export function randomText(
  tokenizer: Tokenizer,
  constraint: Constraint,
  random: () => number,
  most = 2000,
): string | undefined {
  const tokens = randomTokens(tokenizer, constraint, random, most);
  return tokens && tokenizer.decode(tokens);
}

/** Tokens that the constraint allows; undefined where `most` did not end the text. */
export function randomTokens(
  tokenizer: Tokenizer,
  constraint: Constraint,
  random: () => number,
  most = 2000,
): number[] | undefined {
  const tokens: number[] = [];
  for (const token of drawTokens(tokenizer, constraint, random)) {
    if (tokens.push(token) > most) return undefined;
  }
  return tokens;
}

/** Draws among the tokens that the constraint allows, all alike, up to the end. */
export function* drawTokens(
  tokenizer: Tokenizer,
  constraint: Constraint,
  random: () => number,
  left?: () => number,
): Generator<number> {
  const mask = new Uint32Array(Math.ceil(tokenizer.vocabSize / 32));
  while (!constraint.over) {
    constraint.mask(mask, left?.());
    const allowed: number[] = [];
    for (let id = 0; id < tokenizer.vocabSize; id += 1)
      if ((mask[id >>> 5]! >>> (id & 31)) & 1) allowed.push(id);
    const token = allowed[Math.floor(random() * allowed.length)]!;
    if (tokenizer.endTokens.has(token)) return;
    constraint.accept(token);
    yield token;
  }
}

/** What is drawn where `limit` tokens are all that there is; undefined: it was not ended. */
export function drawnWithin(
  tokenizer: Tokenizer,
  constraint: Constraint,
  limit: number,
  random: () => number,
) {
  const tokens: number[] = [];
  let left = limit;
  for (const token of drawTokens(tokenizer, constraint, random, () => left)) {
    tokens.push(token);
    left -= 1;
    if (left === 0) break;
  }
  const ended = constraint.over || constraint.mayEnd;
  return { tokens, text: ended ? tokenizer.decode(tokens) : undefined };
}
