/** Lengths of the runs of tokens that are looked up, the longest first. */
export const RUNS = [3, 2] as const;
export type RunLength = (typeof RUNS)[number];

export interface Guess {
  /** The tokens that followed last time, at least one. */
  readonly tokens: readonly number[];
  /** How many tokens before them agree. */
  readonly run: RunLength;
}

/**
 * Guesses how a text goes on from what followed its last tokens when they came before: prompt lookup decoding
 * (Saxena, 2023). Each token is noted in constant time.
 */
export class PromptLookup {
  private readonly history: number[] = [];
  /** Run -> index of what followed it last. */
  private readonly followers = new Map<string, number>();

  constructor(tokens: readonly number[]) {
    for (const token of tokens) this.push(token);
  }

  push(token: number): void {
    for (const run of RUNS) {
      const key = this.ending(run);
      if (key !== undefined) this.followers.set(key, this.history.length);
    }
    this.history.push(token);
  }

  /** At most `limit` tokens, or undefined where the text ends as it never did before. */
  guess(limit: number): Guess | undefined {
    if (limit < 1) return undefined;
    for (const run of RUNS) {
      const key = this.ending(run);
      const at = key === undefined ? undefined : this.followers.get(key);
      if (at !== undefined) return { tokens: this.continuation(at, limit), run };
    }
    return undefined;
  }

  /** From index `at` on; what goes past the end goes on with the guess itself, as a loop would. */
  private continuation(at: number, limit: number): number[] {
    const { history } = this;
    const tokens: number[] = [];
    for (let i = at; tokens.length < limit; i += 1)
      tokens.push(i < history.length ? history[i]! : tokens[i - history.length]!);
    return tokens;
  }

  private ending(run: RunLength): string | undefined {
    const { history } = this;
    return history.length < run ? undefined : history.slice(-run).join(" ");
  }
}
