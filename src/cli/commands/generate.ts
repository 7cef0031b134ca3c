import { runPrompt } from "../../api/worker/completion.ts";
import { GREEDY } from "../../engine/chat/generate-options.ts";
import type { Command } from "../command.ts";
import { CONVERSATION } from "../defaults.ts";
import { CACHE_FLAGS, CACHE_USAGE, decimal, isSet, required, wholeNumber } from "../flags.ts";

interface Input {
  prompt: string;
  chat: boolean;
  maxTokens: number;
  temperature: number;
  seed: number;
}

export const generate: Command<Input> = {
  name: "generate",
  summary: "continue a prompt, or answer it with --chat",
  usage: `--prompt TEXT [--chat] [--max-tokens 128] ${CACHE_USAGE} [--temperature 0] [--seed 0]`,
  flags: {
    prompt: "string",
    chat: "boolean",
    "max-tokens": "string",
    temperature: "string",
    seed: "string",
    ...CACHE_FLAGS,
  },
  cacheDefaults: {},
  read: async (flags) => ({
    prompt: required(flags, "prompt"),
    chat: isSet(flags, "chat"),
    maxTokens: wholeNumber(flags, "max-tokens", { min: 1, fallback: 128 }),
    temperature: decimal(flags, "temperature", 0, 5, 0),
    seed: wholeNumber(flags, "seed", { min: 0, fallback: 0 }),
  }),
  async run({ prompt, chat, maxTokens, temperature, seed }, { engine, report }) {
    const input = chat
      ? engine.template.encode([{ role: "user", content: prompt }], engine.tokenizer, {
          addGenerationPrompt: true,
        })
      : [...engine.tokenizer.prefix, ...engine.tokenizer.encode(prompt)];
    let text = "";
    let done = 0;
    const { tokens, usage } = await runPrompt(
      engine,
      CONVERSATION,
      input,
      {
        maxTokens,
        stop: chat ? engine.template.stop : [],
        sampling: { ...GREEDY, temperature, seed },
      },
      (piece) => {
        text += piece;
        report("generate", ++done, maxTokens);
      },
      new AbortController().signal,
    );
    return {
      json: {
        text,
        tokens,
        prompt_tokens: usage.prompt_tokens,
        usage,
        cache: engine.conversation(CONVERSATION).usage(),
        adapter: engine.info().adapter,
      },
      text,
    };
  },
};
