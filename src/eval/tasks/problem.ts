import type { ChatMessage } from "../../text/types.ts";

/** A prompt, what is asked about it, and what a right answer holds. */
export interface Problem {
  /** What was said in the chat before, read message by message; a problem with one has neither intro nor context. */
  readonly history?: readonly ChatMessage[];
  /** Said before the context. */
  readonly intro: string;
  /** What the cache is asked to remember. */
  readonly context: string;
  readonly question: string;
  /** What the answer begins with: given to the model, as RULER does. */
  readonly prefix: string;
  readonly expected: readonly string[];
  /** `all`: the score is the share of expected answers found; `any`: one suffices. */
  readonly match: "all" | "any";
  /** Most tokens of the answer. */
  readonly answerTokens: number;
}

/** Makes a problem of a size; the same random numbers must give problems that differ in size and question alone. */
export interface Generator {
  /** The smallest size that makes sense. */
  readonly least: number;
  /** `question`: which of the task's questions (`questionsOf`) is asked. Default 0. */
  make(random: () => number, size: number, question?: number): Problem;
}

/** RULER's string match: case does not count. */
export function scoreOf(
  answer: string,
  { expected, match }: Pick<Problem, "expected" | "match">,
): number {
  const text = answer.toLowerCase();
  const found = expected.filter((one) => text.includes(one.toLowerCase())).length;
  return match === "all" ? found / expected.length : found > 0 ? 1 : 0;
}
