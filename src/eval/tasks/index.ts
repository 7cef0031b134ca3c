import type { PromptCell, PromptTask } from "../types.ts";
import { CORRECTIONS, corrections, INSTRUCTIONS, instructions } from "./chats.ts";
import type { Haystack } from "./haystack.ts";
import { needle, needles } from "./needles.ts";
import type { Generator } from "./problem.ts";
import { questionAnswering } from "./qa.ts";
import { variables } from "./variables.ts";
import { commonWords, frequentWords } from "./word-lists.ts";

const GENERATORS: Record<PromptTask, (hay: Haystack, depth: number) => Generator> = {
  needle,
  "niah-single": (hay) => needles(hay, { keys: 1, values: 1, queries: 1 }),
  "niah-multikey": (hay) => needles(hay, { keys: 4, values: 1, queries: 1 }),
  "niah-multivalue": (hay) => needles(hay, { keys: 1, values: 4, queries: 1 }),
  "niah-multiquery": (hay) => needles(hay, { keys: 4, values: 1, queries: 4 }),
  variables,
  "common-words": () => commonWords,
  "frequent-words": () => frequentWords,
  qa: () => questionAnswering,
  instructions,
  corrections,
};

/** How many questions there are about what has been read: as many trials in a row read the same. */
export function questionsOf(task: PromptTask): number {
  if (task === "instructions") return INSTRUCTIONS;
  return task === "corrections" ? CORRECTIONS : 1;
}

export const generatorOf = ({ task, depth }: PromptCell, hay: Haystack): Generator =>
  GENERATORS[task](hay, depth ?? 0.5);
