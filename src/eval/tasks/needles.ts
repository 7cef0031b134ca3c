import { pick, sample } from "../../random.ts";
import { depthsOf, type Haystack, hide } from "./haystack.ts";
import type { Generator } from "./problem.ts";
import { ADJECTIVES, distinct, letters, NOUNS } from "./words.ts";

/** A number hidden at a depth (0: first sentence, 1: last): the grid of length and depth. */
export const needle = (hay: Haystack, depth: number): Generator => ({
  least: 1,
  make(random, size) {
    const number = letters(random, 5, "123456789");
    return {
      intro: "Read the text and remember the secret number in it.",
      context: hide(
        hay.sentences(random, size),
        [`The secret number is ${number}. Remember it.`],
        [depth],
      ),
      question:
        "What is the secret number mentioned in the text above? Answer with the number only.",
      prefix: "The secret number is",
      expected: [number],
      match: "any",
      answerTokens: 12,
    };
  },
});

export interface NeedleKinds {
  /** Keys in the text. */
  readonly keys: number;
  /** Values of each key that is asked for. */
  readonly values: number;
  /** Keys that are asked for. */
  readonly queries: number;
}

/** RULER's needles: single (1, 1, 1), multi-key (4, 1, 1), multi-value (1, 4, 1), multi-query (4, 1, 4). */
export const needles = (hay: Haystack, { keys, values, queries }: NeedleKinds): Generator => ({
  least: 1,
  make(random, size) {
    const names = distinct(keys, () => `${pick(random, ADJECTIVES)}-${pick(random, NOUNS)}`);
    const numbers = distinct(keys * values, () => letters(random, 7, "123456789"));
    const facts = names.flatMap((name, k) =>
      Array.from({ length: values }, (_, v) => ({ name, number: numbers[k * values + v]! })),
    );
    const asked = sample(random, names, queries);
    const order = sample(random, facts, facts.length);
    const depths = depthsOf(random, facts.length);
    const hidden = order.map(
      ({ name, number }) => `One of the special magic numbers for ${name} is: ${number}.`,
    );
    const expected = facts.filter(({ name }) => asked.includes(name)).map(({ number }) => number);
    const one = expected.length === 1;
    const whom =
      asked.length === 1 ? asked[0]! : `${asked.slice(0, -1).join(", ")}, and ${asked.at(-1)!}`;
    return {
      intro:
        "Some special magic numbers are hidden within the following text. Memorize them: you will be asked about them afterwards.",
      context: hide(hay.sentences(random, size), hidden, depths),
      question: one
        ? `What is the special magic number for ${whom} mentioned in the text?`
        : `What are all the special magic numbers for ${whom} mentioned in the text?`,
      prefix: one
        ? `The special magic number for ${whom} mentioned in the text is`
        : `The special magic numbers for ${whom} mentioned in the text are`,
      expected,
      match: "all",
      answerTokens: 12 + 12 * expected.length,
    };
  },
});
