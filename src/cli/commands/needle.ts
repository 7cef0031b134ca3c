import { GREEDY } from "../../engine/chat/generate-options.ts";
import type { InferenceEngine } from "../../engine/engine.ts";
import { invalidArgument } from "../../errors.ts";
import { seededRandom } from "../../random.ts";
import type { Command } from "../command.ts";
import { CONVERSATION } from "../defaults.ts";
import { CACHE_FLAGS, CACHE_USAGE, oneOf, required, wholeNumber } from "../flags.ts";

interface Input {
  text: string;
  context: number;
  trials: number;
  seed: number;
  ask: "in" | "after";
}

export interface NeedleTrial {
  /** Where the needle lies, 0 = first sentence, 1 = last. */
  depth: number;
  number: string;
  answer: string;
  found: boolean;
}

const QUESTION =
  "What is the secret number mentioned in the text above? Answer with the number only.";
const ANSWER_TOKENS = 24;

/**
 * A five-digit number hidden in a text of `context` tokens, at a random depth each trial. `--ask in`
 * gives text and question as one prompt; `--ask after` reads the text alone first, so that the cache
 * is compressed before the question is known.
 */
export const needle: Command<Input> = {
  name: "needle",
  summary: "find a number hidden in a long text under a cache budget",
  usage: `--text FILE --context N ${CACHE_USAGE} [--trials 10] [--seed 0] [--ask in|after]`,
  flags: {
    text: "string",
    context: "string",
    trials: "string",
    seed: "string",
    ask: "string",
    ...CACHE_FLAGS,
  },
  cacheDefaults: {},
  read: async (flags, files) => ({
    context: wholeNumber(flags, "context", { min: 64 }),
    trials: wholeNumber(flags, "trials", { min: 1, max: 10_000, fallback: 10 }),
    seed: wholeNumber(flags, "seed", { min: 0, fallback: 0 }),
    ask: oneOf(flags, "ask", ["in", "after"], "in"),
    text: await files.readText("text", required(flags, "text")),
  }),
  async run(input, { engine, report }) {
    const tokens = engine.tokenizer.encode(input.text);
    if (tokens.length < input.context) {
      throw invalidArgument(
        "--text",
        `has ${tokens.length} tokens, --context asks for ${input.context}`,
      );
    }
    const room = engine.contextLength - 128;
    if (!engine.conversation(CONVERSATION).endless && input.context > room) {
      throw invalidArgument(
        "--context",
        `${input.context} leave no room in the model's ${engine.contextLength} positions`,
        "Give --budget, and no --whole-layers: under a budget a text may be longer.",
      );
    }
    const random = seededRandom(input.seed);
    const trials: NeedleTrial[] = [];
    for (let trial = 0; trial < input.trials; trial++) {
      report("needle", trial, input.trials);
      const start = Math.floor(random() * (tokens.length - input.context + 1));
      const hay = engine.tokenizer.decode(tokens.slice(start, start + input.context));
      trials.push(await runTrial(engine, hay, input.ask, random));
    }
    report("needle", input.trials, input.trials);
    const accuracy = trials.filter(({ found }) => found).length / trials.length;
    const cache = engine.conversation(CONVERSATION).usage();
    return {
      json: { accuracy, trials, cache, adapter: engine.info().adapter },
      text: `found ${Math.round(accuracy * trials.length)} of ${trials.length} (budget ${cache.budget}, ${cache.policy})`,
    };
  },
};

async function runTrial(
  engine: InferenceEngine,
  hay: string,
  ask: "in" | "after",
  random: () => number,
): Promise<NeedleTrial> {
  const depth = random();
  const number = String(10_000 + Math.floor(random() * 90_000));
  const text = hide(hay, `The secret number is ${number}. Remember it.`, depth);
  const chat = (content: string): number[] =>
    engine.template.encode([{ role: "user", content }], engine.tokenizer, {
      addGenerationPrompt: true,
    });
  const prompt = chat(`${text}\n\n${QUESTION}`);
  const conversation = engine.conversation(CONVERSATION);
  await conversation.reset();
  if (ask === "after") {
    const readFirst = prompt.slice(0, commonLength(prompt, chat(text)));
    for await (const _ of conversation.generate(readFirst, { sampling: GREEDY, maxTokens: 1 }))
      break;
  }
  const ids: number[] = [];
  for await (const id of conversation.generate(prompt, {
    sampling: GREEDY,
    maxTokens: ANSWER_TOKENS,
  })) {
    ids.push(id);
  }
  const answer = engine.tokenizer.decode(ids);
  return { depth, number, answer, found: answer.includes(number) };
}

/** Puts `sentence` between two sentences of `hay`, at about `depth` of its length. */
function hide(hay: string, sentence: string, depth: number): string {
  const wanted = Math.floor(depth * hay.length);
  const end = hay.indexOf(". ", wanted);
  const at = end >= 0 ? end + 2 : Math.max(0, hay.lastIndexOf(". ", wanted) + 2);
  return `${hay.slice(0, at)}${sentence} ${hay.slice(at)}`;
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}
