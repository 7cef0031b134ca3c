import { pick, sample } from "../../random.ts";
import type { Generator } from "./problem.ts";
import { ADJECTIVES, distinct, inventName, letters, NOUNS } from "./words.ts";

interface Town {
  readonly name: string;
  readonly founder: string;
  readonly year: string;
  readonly river: string;
  readonly goods: string;
}

const QUESTIONS: readonly {
  readonly ask: (town: Town) => string;
  readonly answer: keyof Town;
}[] = [
  { ask: ({ name }) => `Who founded the town of ${name}?`, answer: "founder" },
  { ask: ({ name }) => `In which year was the town of ${name} founded?`, answer: "year" },
  { ask: ({ name }) => `On which river does the town of ${name} lie?`, answer: "river" },
  { ask: ({ name }) => `What is the town of ${name} known for making?`, answer: "goods" },
];

/**
 * RULER's question answering: one document of many has the answer. The documents are made up, so that
 * nothing can be known beforehand.
 */
export const questionAnswering: Generator = {
  least: 2,
  make(random, size) {
    const names = distinct(size, () => inventName(random));
    const towns = names.map(
      (name): Town => ({
        name,
        founder: `${inventName(random)} ${inventName(random)}`,
        year: `1${letters(random, 3, "123456789")}`,
        river: inventName(random),
        goods: `${pick(random, ADJECTIVES)} ${pick(random, NOUNS)}s`,
      }),
    );
    const [asked] = sample(random, towns, 1) as [Town];
    const { ask, answer } = pick(random, QUESTIONS);
    return {
      intro:
        "Answer the question from the documents below. Give only the answer and no other words.",
      context: towns
        .map(
          ({ name, founder, year, river, goods }, i) =>
            `Document ${i + 1}: The town of ${name} lies on the river ${river}. It was founded in ${year} by ${founder}. It is known for making ${goods}.`,
        )
        .join("\n"),
      question: `Question: ${ask(asked)}`,
      prefix: "Answer:",
      expected: [asked[answer]],
      match: "any",
      answerTokens: 20,
    };
  },
};
