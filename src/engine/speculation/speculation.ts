import { DRAFT_ROWS } from "../../model/draft-rows.ts";
import { type Guess, PromptLookup, RUNS, type RunLength } from "./prompt-lookup.ts";
import type { StepCosts } from "./step-costs.ts";

/** Weight of the newest guess in how often guesses are right. */
const NEWEST = 1 / 12;
/** Least gain for which a step of several tokens is taken. */
const WORTH = 1.05;

/**
 * Decides what to guess and whether a step of several tokens pays: guesses are made at every token and compared
 * with what came, whether they were run or not, so how often they are right is known before anything is spent.
 */
export class Speculation {
  private readonly lookup: PromptLookup;
  private readonly costs: StepCosts;
  /** Share of guesses that came true, by how many tokens agreed before. */
  private readonly right = new Map<RunLength, number>(RUNS.map((run) => [run, 0.3]));
  private last: Guess | undefined;
  private lastRead: number | undefined;

  constructor(tokens: readonly number[], costs: StepCosts) {
    this.lookup = new PromptLookup(tokens);
    this.costs = costs;
    this.last = this.lookup.guess(1);
  }

  /**
   * Called when a token of a plain step was read: two in a row whose next step runs already are one step's time
   * apart.
   */
  timed(ahead: boolean): void {
    const now = performance.now();
    if (ahead && this.lastRead !== undefined) this.costs.note(1, now - this.lastRead);
    this.lastRead = ahead ? now : undefined;
  }

  /** Takes the next token of the text. */
  push(token: number): void {
    if (this.last) {
      const { run, tokens } = this.last;
      const before = this.right.get(run)!;
      this.right.set(run, before + NEWEST * (Number(tokens[0] === token) - before));
    }
    this.lookup.push(token);
    this.last = this.lookup.guess(1);
  }

  /** Tokens to guess after those taken, at most `limit`, or none where a step of several would not pay. */
  guess(limit: number): readonly number[] {
    const guess = this.lookup.guess(Math.min(limit, DRAFT_ROWS - 1));
    if (!guess) return [];
    const p = this.right.get(guess.run)!;
    let best = WORTH;
    let count = 0;
    let expected = 1;
    for (let n = 1; n <= guess.tokens.length; n += 1) {
      expected += p ** n;
      const gain = expected / this.costs.ratio(n + 1);
      if (gain > best) [best, count] = [gain, n];
    }
    return guess.tokens.slice(0, count);
  }
}
