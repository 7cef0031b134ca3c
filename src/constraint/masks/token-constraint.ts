import { assume, WinnowError } from "../../errors.ts";
import type { Tokenizer } from "../../text/types.ts";
import type { Constraint } from "../constraint.ts";
import { FIRST_MARK_BYTE } from "../grammar/char-set.ts";
import type { Matcher, Place } from "../grammar/matcher.ts";
import type { Shortest } from "../grammar/shortest.ts";
import type { TokenMasks } from "./token-masks.ts";

/** Most bytes that are looked ahead for what is forced. */
const FORCED_BYTES = 256;

/** Tokens that are kept back for the end of a text: what is left of it may be written in some more than the whole was. */
const SPARE = 4;

/** What all answers to one format share. */
export interface Compiled {
  readonly matcher: Matcher;
  readonly shortest: Shortest;
  readonly masks: TokenMasks;
  readonly tokenizer: Tokenizer & { readonly marks?: readonly (number | undefined)[] };
}

/** A grammar over the tokens of a vocabulary. */
export class TokenConstraint implements Constraint {
  private readonly compiled: Compiled;
  private place: Place;
  /** The next tokens, where the grammar leaves no choice. */
  private queue: readonly number[];
  private ended = false;
  hurried = false;
  /** A shortest end that was written in tokens: how many, of how many bytes. */
  private end: { readonly tokens: number; readonly bytes: number } | undefined;
  /** There never were tokens enough. */
  private lost = false;

  constructor(compiled: Compiled, place = compiled.matcher.start(), queue?: readonly number[]) {
    this.compiled = compiled;
    this.place = place;
    this.queue = queue ?? this.lookAhead();
  }

  get mayEnd(): boolean {
    return this.place.ends && this.queue.length === 0;
  }

  get over(): boolean {
    return this.ended || this.place.frames.length === 0;
  }

  get enough(): number {
    return this.mayEnd ? 0 : this.shortestEnd().count + SPARE + 1;
  }

  mask(into: Uint32Array, left = Number.POSITIVE_INFINITY): void {
    const { masks, tokenizer } = this.compiled;
    const rest = this.over || this.queue.length > 0 ? 0 : this.restWithin(left);
    const [only] = this.queue;
    if (only !== undefined) {
      into.fill(0);
      allow(only, into);
      return;
    }
    if (this.over) into.fill(0);
    else masks.fill(this.place, into, rest);
    if (this.place.ends) for (const token of tokenizer.endTokens) allow(token, into);
    if (into.some((word) => word !== 0)) return;
    throw new WinnowError("unsupported_model", "no token of the model writes what must come next", {
      hint: "Its vocabulary lacks some bytes: ask for other characters, or use another model.",
    });
  }

  allows(token: number): boolean {
    const { tokenizer } = this.compiled;
    const [only] = this.queue;
    if (only !== undefined) return token === only;
    if (tokenizer.endTokens.has(token)) return this.place.ends;
    return !this.over && this.behind(token) !== null;
  }

  accept(token: number): void {
    const { tokenizer } = this.compiled;
    assume(this.allows(token), () => `token ${token} is not what the answer's format allows`);
    if (tokenizer.endTokens.has(token)) {
      this.ended = true;
      return;
    }
    this.place = this.behind(token)!;
    this.queue = this.queue.length > 0 ? this.queue.slice(1) : this.lookAhead();
  }

  forced(limit: number): readonly number[] {
    return this.queue.slice(0, limit);
  }

  fork(): TokenConstraint {
    const copy = new TokenConstraint(this.compiled, this.place, this.queue);
    [copy.ended, copy.hurried] = [this.ended, this.hurried];
    [copy.end, copy.lost] = [this.end, this.lost];
    return copy;
  }

  /**
   * How many bytes the end may be away behind the next of `left` tokens. Where they are only just enough for the shortest
   * end, it is what comes next; where they never were, there is no bound.
   */
  private restWithin(left: number): number {
    const { place } = this;
    const bytes = this.compiled.shortest.rest(place);
    // Each byte may be a token.
    if (bytes < left) return left - 1;
    if (this.lost) return Number.POSITIVE_INFINITY;
    const spare = (): number =>
      left - 1 - (this.end ? this.end.tokens + Math.max(0, bytes - this.end.bytes) : left);
    if (spare() >= SPARE) return bytes + spare();
    const { count, tokens } = this.shortestEnd();
    this.end = { tokens: count, bytes };
    if (spare() >= SPARE) return bytes + spare();
    this.lost = this.end.tokens > left;
    if (this.lost) return Number.POSITIVE_INFINITY;
    this.hurried = true;
    if (!tokens) return bytes - 1;
    this.queue = tokens;
    return 0;
  }

  /** How many tokens the shortest end takes, and which; undefined where the tokenizer has others for that text. */
  private shortestEnd(): { count: number; tokens: readonly number[] | undefined } {
    const { shortest, tokenizer } = this.compiled;
    const end = shortest.text(this.place);
    // The rest of a character, which no text can be encoded from.
    let begun = 0;
    while ((end[begun]! & 0xc0) === 0x80) begun += 1;
    const tokens = tokensOf(end.slice(begun), tokenizer);
    const written = begun === 0 && writes(tokens, end, tokenizer);
    return { count: begun + tokens.length, tokens: written ? tokens : undefined };
  }

  /** The same behind a text; undefined where it does not begin that way. */
  behindText(text: string): TokenConstraint | undefined {
    const place = this.step(new TextEncoder().encode(text));
    return place ? new TokenConstraint(this.compiled, place) : undefined;
  }

  /** Where the text is after a token; null if it cannot be there. */
  private behind(token: number): Place | null {
    const bytes = this.compiled.tokenizer.tokenBytes(token);
    return bytes.length === 0 ? null : this.step(bytes);
  }

  private step(bytes: Uint8Array): Place | null {
    let place: Place | null = this.place;
    for (const byte of bytes) place = place && this.compiled.matcher.step(place, byte);
    return place;
  }

  /**
   * The tokens of the bytes that must come next, written as the tokenizer writes them. The last one is left to the
   * model: what follows may belong to it.
   */
  private lookAhead(): readonly number[] {
    const { matcher, tokenizer } = this.compiled;
    const bytes: number[] = [];
    for (let { place } = this; bytes.length < FORCED_BYTES; ) {
      const only = onlyByte(place, matcher);
      if (only === undefined) break;
      bytes.push(only);
      place = matcher.step(place, only)!;
    }
    if (bytes.length < 2) return [];
    const tokens = tokensOf(bytes, tokenizer).slice(0, -1);
    return writes(tokens, bytes, tokenizer) ? tokens : [];
  }
}

/** Whether tokens write what bytes begin with, each something of it. */
function writes(
  tokens: readonly number[],
  bytes: readonly number[],
  tokenizer: Compiled["tokenizer"],
): boolean {
  let written = 0;
  return tokens.every((token) => {
    const own = tokenizer.tokenBytes(token);
    return own.length > 0 && own.every((byte) => byte === bytes[written++]);
  });
}

/** Texts as the tokenizer writes them, and the tokens of marks between. */
function tokensOf(bytes: readonly number[], tokenizer: Compiled["tokenizer"]): number[] {
  const mark = bytes.findIndex((byte) => byte >= FIRST_MARK_BYTE);
  const text = mark < 0 ? bytes : bytes.slice(0, mark);
  const tokens = tokenizer.encode(new TextDecoder().decode(Uint8Array.from(text)));
  if (mark < 0) return tokens;
  const id = tokenizer.marks![bytes[mark]! - FIRST_MARK_BYTE]!;
  return [...tokens, id, ...tokensOf(bytes.slice(mark + 1), tokenizer)];
}

/** The byte that must come next; undefined where there is a choice. */
function onlyByte({ frames, ends }: Place, matcher: Matcher): number | undefined {
  if (ends) return undefined;
  let only: number | undefined;
  for (const { state } of frames)
    for (const { first, last } of matcher.grammar.states[state]!.bytes) {
      if (first !== last || (only !== undefined && only !== first)) return undefined;
      only = first;
    }
  return only;
}

const allow = (token: number, mask: Uint32Array): void => {
  mask[token >>> 5]! |= 1 << (token & 31);
};
