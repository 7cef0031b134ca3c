import { pick, sample, seededRandom } from "../../random.ts";
import type { ChatMessage } from "../../text/types.ts";
import type { Haystack } from "./haystack.ts";
import type { Generator } from "./problem.ts";
import { ADJECTIVES, distinct, inventName, letters, NOUNS } from "./words.ts";

/** A question of small talk, and an answer of three sentences. */
function smallTalk(random: () => number, hay: Haystack): ChatMessage[] {
  const thing = `the ${pick(random, ADJECTIVES)} ${pick(random, NOUNS)}`;
  return [
    { role: "user", content: `Tell me something about ${thing}.` },
    { role: "assistant", content: hay.sentences(random, 3).join("").trim() },
  ];
}

/** `count` exchanges, drawn apart from what is asked, so that problems of all sizes ask the same. */
const smallTalks = (random: () => number, count: number, hay: Haystack): ChatMessage[][] => {
  const own = seededRandom(Math.floor(random() * 2 ** 32));
  return Array.from({ length: count }, () => smallTalk(own, hay));
};

/** Questions about one chat. */
export const INSTRUCTIONS = 6;
export const CORRECTIONS = 4;

/**
 * A system message says who the assistant is and what it is to say when; code can check it, in IFEval's manner (arXiv
 * 2311.07911). After small talk, one of these is asked for.
 */
export const instructions = (hay: Haystack): Generator => ({
  least: 1,
  make(random, size, asked = 0) {
    const [name, town, master] = distinct(3, () => inventName(random)) as [string, string, string];
    const [code, hour] = [letters(random, 5, "123456789"), letters(random, 1, "56789")];
    const weather = pick(random, ADJECTIVES);
    const system =
      `Your name is ${name}. Your shop is in the town of ${town}. Your master is called ${master}. ` +
      `The code of the door is ${code}. When you are asked about the weather, say: The weather is ${weather}. ` +
      `When you are asked when you open, say: We open at ${hour} o'clock.`;
    const cases = [
      { question: "What is your name?", prefix: "My name is", answer: name },
      { question: "Where is your shop?", prefix: "My shop is in the town of", answer: town },
      { question: "Who is your master?", prefix: "My master is called", answer: master },
      { question: "What is the code?", prefix: "The code of the door is", answer: code },
      { question: "How is the weather?", prefix: "The weather is", answer: weather },
      { question: "When do you open?", prefix: "We open at", answer: hour },
    ];
    const { question, prefix, answer } = cases[asked]!;
    return {
      history: [{ role: "system", content: system }, ...smallTalks(random, size, hay).flat()],
      intro: "",
      context: "",
      question,
      prefix,
      expected: [answer],
      match: "any",
      answerTokens: 8,
    };
  },
});

/**
 * The user says four things in the course of the chat and later corrects two of them, in the manner of SCBench (arXiv
 * 2412.10319) and LongMemEval (arXiv 2410.10813); one of the four is asked for as it stands at the end.
 */
export const corrections = (hay: Haystack): Generator => ({
  least: 6,
  make(random, size, question = 0) {
    const animals = sample(
      random,
      ["cat", "dog", "horse", "parrot", "goat", "rabbit"],
      CORRECTIONS,
    );
    const names = distinct(6, () => inventName(random));
    const facts = animals.map((animal, i) => ({ animal, name: names[i]! }));
    const changed = [0, 1].map((i) => ({ animal: facts[i]!.animal, name: names[4 + i]! }));
    const asked = animals[question];
    const noted = ({ animal, name }: { animal: string; name: string }): ChatMessage => ({
      role: "assistant",
      content: `I will remember that your ${animal} is called ${name}.`,
    });
    const told = sample(random, facts, facts.length).map((fact): ChatMessage[] => [
      { role: "user", content: `My ${fact.animal} is called ${fact.name}.` },
      noted(fact),
    ]);
    const corrected = changed.map((fact): ChatMessage[] => [
      {
        role: "user",
        content: `I was wrong about my ${fact.animal}: its name is ${fact.name}.`,
      },
      noted(fact),
    ]);
    // What is told comes in the first half, corrections in the second, spread evenly.
    const talk = smallTalks(random, size, hay);
    const half = Math.floor(size / 2);
    const history = [
      ...spread(talk.slice(0, half), told),
      ...spread(talk.slice(half), corrected),
    ].flat();
    const answer = [...changed, ...facts].find(({ animal }) => animal === asked)!.name;
    return {
      history,
      intro: "",
      context: "",
      question: `What is the name of my ${asked} now?`,
      prefix: `Your ${asked} is called`,
      expected: [answer],
      match: "any",
      answerTokens: 8,
    };
  },
});

/** Puts each of `what` among `others`, at equal distances. */
function spread<T>(others: readonly T[], what: readonly T[]): T[] {
  const out: T[] = [];
  let next = 0;
  others.forEach((one, i) => {
    while (next < what.length && (next + 0.5) * others.length <= (i + 0.5) * what.length)
      out.push(what[next++]!);
    out.push(one);
  });
  return [...out, ...what.slice(next)];
}
