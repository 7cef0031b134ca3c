import { depthsOf, type Haystack, hide } from "./haystack.ts";
import type { Generator } from "./problem.ts";
import { distinct, letters } from "./words.ts";

const HOPS = 4;

/** RULER's variable tracking: one chain of assignments over four hops; all five names are asked for. */
export const variables = (hay: Haystack): Generator => ({
  least: 1,
  make(random, size) {
    const value = letters(random, 5, "123456789");
    const names = distinct(HOPS + 1, () => letters(random, 5, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"));
    const lines = names.map((name, i) =>
      i === 0 ? `VAR ${name} = ${value}.` : `VAR ${name} = VAR ${names[i - 1]!}.`,
    );
    const depths = depthsOf(random, lines.length);
    return {
      intro: "Memorize and track the chain of variable assignments hidden in the following text.",
      context: hide(hay.sentences(random, size), lines, depths),
      question: `Find all variables that are assigned the value ${value}, directly or through other variables, in the text above.`,
      prefix: `${names.length} variables are assigned the value ${value}, they are:`,
      expected: names,
      match: "all",
      answerTokens: 40,
    };
  },
});
