import { pick } from "../../random.ts";
import { ADJECTIVES, ADVERBS, NOUNS, VERBS } from "./words.ts";

/** Sentences to hide something among. */
export interface Haystack {
  /** "noise", or the SHA-256 of the text. */
  readonly id: string;
  /** `count` sentences, each with what separates it from the next. */
  sentences(random: () => number, count: number): string[];
}

/** Sentences that mean nothing, from a small grammar. */
export const noise: Haystack = {
  id: "noise",
  sentences: (random, count) =>
    Array.from({ length: count }, () => {
      const thing = (): string => `the ${pick(random, ADJECTIVES)} ${pick(random, NOUNS)}`;
      const subject = thing();
      return `T${subject.slice(1)} ${pick(random, VERBS)} ${thing()} ${pick(random, ADVERBS)}. `;
    }),
};

/** Sentences of a text that follow each other, from a random place on; after its end it begins anew. */
export function textHaystack(text: string, sha256: string): Haystack {
  const flat = text.replace(/\s+/g, " ");
  const found = (flat.match(/[^.!?]+[.!?]+["')\]]*\s*/g) ?? [flat]).map((one) => `${one.trim()} `);
  return {
    id: sha256,
    sentences(random, count) {
      const start = Math.floor(random() * found.length);
      return Array.from({ length: count }, (_, i) => found[(start + i) % found.length]!);
    },
  };
}

/** Puts each of `hidden` before a sentence: at `depths` (0 to 1), which must ascend. */
export function hide(
  sentences: readonly string[],
  hidden: readonly string[],
  depths: readonly number[],
): string {
  const out: string[] = [];
  let next = 0;
  for (let i = 0; i <= sentences.length; i += 1) {
    while (next < hidden.length && Math.round(depths[next]! * sentences.length) <= i)
      out.push(`${hidden[next++]!} `);
    if (i < sentences.length) out.push(sentences[i]!);
  }
  return out.join("").trim();
}

/** Random depths in ascending order. */
export const depthsOf = (random: () => number, count: number): number[] =>
  Array.from({ length: count }, random).sort((a, b) => a - b);
