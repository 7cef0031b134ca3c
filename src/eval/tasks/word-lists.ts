import { sample } from "../../random.ts";
import type { Generator } from "./problem.ts";
import { ADJECTIVES, distinct, letters, NOUNS, VERBS } from "./words.ts";

const COMMON = 10;
/** The paper has 30 to 3, in longer prompts. */
const COMMON_TIMES = 10;
const OTHER_TIMES = 1;

/** RULER's common words extraction: ten words come ten times as often as the others. */
export const commonWords: Generator = {
  least: 1,
  make(random, size) {
    const words = [...NOUNS, ...ADJECTIVES, ...VERBS];
    const plain = sample(
      random,
      [...new Set(words.filter((word) => word.length > 3))],
      words.length,
    );
    const common = plain.slice(0, COMMON);
    const known = plain.slice(COMMON);
    // More words than there are here: made-up ones.
    const others = Array.from({ length: size }, (_, i) =>
      i < known.length ? known[i]! : `${known[i % known.length]!}${Math.floor(i / known.length)}`,
    );
    const list = [
      ...common.flatMap((word) => new Array<string>(COMMON_TIMES).fill(word)),
      ...others.flatMap((word) => new Array<string>(OTHER_TIMES).fill(word)),
    ];
    const shuffled = sample(random, list, list.length);
    return {
      intro:
        "Below is a numbered list of words. Some of them appear more often than others. Memorize the ones that appear most often.",
      context: shuffled.map((word, i) => `${i + 1}. ${word}`).join(" "),
      question: `What are the ${COMMON} most common words in the above list?`,
      prefix: `The ${COMMON} words that appear most often in the list are:`,
      expected: common,
      match: "all",
      answerTokens: 80,
    };
  },
};

const ALPHA = 2;
const CODES = 40;
const ANSWERS = 3;

/** RULER's frequent words extraction: coded words by a Zeta distribution (alpha 2), the first rank is noise. */
export const frequentWords: Generator = {
  // The third answer's rank, 4, must come more often than rank 5.
  least: 60,
  make(random, size) {
    const codes = distinct(CODES, () => letters(random, 6, "abcdefghijklmnopqrstuvwxyz"));
    const zeta = codes.reduce((sum, _, i) => sum + (i + 1) ** -ALPHA, 0);
    const list = ["....", ...codes].flatMap((word, i) =>
      new Array<string>(Math.floor((size * (i + 1) ** -ALPHA) / zeta)).fill(word),
    );
    return {
      intro:
        "Read the following coded text and track how often each coded word appears. Find the three coded words that appear most often. Ignore the dots.",
      context: sample(random, list, list.length).join(" "),
      question: "What are the three words that appear most often in the above coded text?",
      prefix: "The three words that appear most often are:",
      expected: codes.slice(0, ANSWERS),
      match: "all",
      answerTokens: 40,
    };
  },
};
