import type { Constraint } from "../../constraint/constraint.ts";
import type { Sampler } from "./sampler.ts";

/** Holds the draws of one answer to a constraint: masks for the sampler, and guesses that it cannot refuse. */
export class AllowedTokens {
  private readonly constraint: Constraint;
  private readonly mask: Uint32Array<ArrayBuffer>;
  /** Tokens that the answer may have yet. */
  private left: number;

  constructor(constraint: Constraint, vocabulary: number, maxTokens: number) {
    this.constraint = constraint;
    this.left = maxTokens;
    this.mask = new Uint32Array(Math.ceil(vocabulary / 32));
  }

  /** The answer is complete: nothing may follow. */
  get over(): boolean {
    return this.constraint.over;
  }

  /** Why it is: it was brought to its end where tokens ran out. */
  get finish(): "stop" | "length" {
    return this.constraint.hurried ? "length" : "stop";
  }

  /** Takes the next token of the answer. */
  take(token: number): void {
    this.constraint.accept(token);
    this.left -= 1;
  }

  /** To be called before draws are submitted: from row 0 what follows the answer, from row r what follows r guesses. */
  write(sampler: Sampler, guesses: readonly number[] = []): void {
    const { constraint, mask, left } = this;
    constraint.mask(mask, left);
    sampler.allow(0, mask);
    if (guesses.length === 0) return;
    const ahead = constraint.fork();
    guesses.forEach((token, i) => {
      // Where tokens have run out a guess may be wrong, and those behind it come to nothing.
      if (ahead.allows(token)) {
        ahead.accept(token);
        ahead.mask(mask, left - 1 - i);
      }
      sampler.allow(i + 1, mask);
    });
  }

  /** How many tokens are known to come, the next one included. */
  forced(limit: number): readonly number[] {
    return this.constraint.forced(limit);
  }

  /** What may be guessed to follow: the tokens that are known to come, else those of `guesses` that may come. */
  guess(limit: number, guesses: readonly number[]): readonly number[] {
    const forced = this.constraint.forced(limit);
    if (forced.length > 0) return forced;
    const ahead = this.constraint.fork();
    const kept: number[] = [];
    for (const token of guesses) {
      if (!ahead.allows(token)) break;
      ahead.accept(token);
      if (ahead.over) break;
      kept.push(token);
    }
    return kept;
  }
}
