import { readdirSync, readFileSync } from "node:fs";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { resolveNodeModel } from "../../../src/node/model-files.ts";
import { createGgufTokenizer } from "../../../src/text/gguf/gguf-tokenizer.ts";
import { readVocabulary } from "../../../src/text/gguf/gguf-vocabulary.ts";
import * as jinja from "../../../src/text/jinja.ts";
import { createChatTemplate } from "../../../src/text/template/chat-template.ts";
import type { BenchMessage, TurnRequest } from "../page/bench-engine.ts";

type Turn = Pick<TurnRequest, "messages" | "prompt" | "added">;

const SECOND = "Go on.";
const TASK = "Continue the following speech at length.\n\n";

/** Chats of given lengths, in the words of the model's template. */
export interface Prompts {
  /** A chat whose prompt has about `length` tokens; another `sample` gives other words from the first on. */
  first(length: number, sample: number): Turn;
  /** The turn after `answer`. */
  next(turn: Turn, answer: string): Turn;
}

/** `folder`: plain texts, here speeches. */
export async function openPrompts(model: string, folder: string): Promise<Prompts> {
  const { source, close } = await resolveNodeModel(model, () => {});
  const { metadata } = await parseGguf(source);
  await close();
  const tokenizer = createGgufTokenizer(metadata);
  const template = createChatTemplate(metadata, readVocabulary(metadata), jinja);
  const render = (messages: BenchMessage[]): string =>
    template.render(messages, { addGenerationPrompt: true });
  const ids = speeches(folder).flatMap((text) => tokenizer.encode(text));
  const make = (start: number, count: number): Turn => {
    const text = tokenizer.decode(ids.slice(start, start + count)).trim();
    const messages: BenchMessage[] = [{ role: "user", content: `${TASK}${text}` }];
    const prompt = render(messages);
    return { messages, prompt, added: prompt };
  };
  const tokensOf = ({ messages }: Turn): number =>
    template.encode(messages, tokenizer, { addGenerationPrompt: true }).length;
  return {
    first(length, sample) {
      const start = (sample * 9973) % (ids.length - 2 * length);
      let count = length;
      let turn = make(start, count);
      // What surrounds the text takes some tokens; a few tries settle what its edges do.
      for (let tries = 0; tries < 8; tries += 1) {
        const excess = tokensOf(turn) - length;
        if (excess === 0) break;
        count = Math.max(1, count - excess);
        turn = make(start, count);
      }
      return turn;
    },
    next({ messages, prompt }, answer) {
      const all: BenchMessage[] = [
        ...messages,
        { role: "assistant", content: answer },
        { role: "user", content: SECOND },
      ];
      const rendered = render(all);
      const known = `${prompt}${answer}`;
      // A template that trims answers leaves other words: what is added is then taken from the end.
      const at = rendered.startsWith(known)
        ? known.length
        : rendered.lastIndexOf(answer.trim()) + answer.trim().length;
      return { messages: all, prompt: rendered, added: rendered.slice(at) };
    },
  };
}

/** Texts enough for the longest history, from different years. */
function speeches(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => /^19[5-9]\d.*\.txt$/.test(name))
    .sort()
    .slice(0, 12)
    .map((name) => readFileSync(`${folder}/${name}`, "utf8").trim());
}
