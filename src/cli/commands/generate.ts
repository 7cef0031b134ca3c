import { runPrompt } from "../../api/worker/completion.ts";
import { GREEDY } from "../../engine/chat/generate-options.ts";
import { invalidArgument } from "../../errors.ts";
import { fromBase64, toBase64 } from "../../formats/base64.ts";
import { MemorySource } from "../../formats/blob-source.ts";
import { CHUNK_ROWS } from "../../model/buffers.ts";
import type { ChatMessage } from "../../text/types.ts";
import type { Command } from "../command.ts";
import { CONVERSATION } from "../defaults.ts";
import {
  CACHE_FLAGS,
  CACHE_USAGE,
  decimal,
  isSet,
  optional,
  required,
  wholeNumber,
} from "../flags.ts";

interface Input {
  prompt: string;
  chat: boolean;
  maxTokens: number;
  temperature: number;
  seed: number;
  /** Where what was read and written is saved. */
  save: string | undefined;
  /** A saved chat to go on from, as base64. */
  load: { name: string; base64: string } | undefined;
}

export const generate: Command<Input> = {
  name: "generate",
  summary: "continue a prompt, or answer it with --chat",
  usage: `--prompt TEXT [--chat] [--max-tokens 128] ${CACHE_USAGE} [--temperature 0] [--seed 0] [--load F] [--save F]`,
  flags: {
    prompt: "string",
    chat: "boolean",
    "max-tokens": "string",
    temperature: "string",
    seed: "string",
    load: "string",
    save: "string",
    ...CACHE_FLAGS,
  },
  cacheDefaults: {},
  read: async (flags, files) => {
    const load = optional(flags, "load");
    const save = optional(flags, "save");
    if (save !== undefined) await files.checkWritable("save", save);
    return {
      prompt: load === undefined ? required(flags, "prompt") : (optional(flags, "prompt") ?? ""),
      chat: isSet(flags, "chat"),
      maxTokens: wholeNumber(flags, "max-tokens", { min: 1, fallback: 128 }),
      temperature: decimal(flags, "temperature", 0, 5, 0),
      seed: wholeNumber(flags, "seed", { min: 0, fallback: 0 }),
      save,
      load:
        load === undefined
          ? undefined
          : { name: load, base64: toBase64(await files.readBytes("load", load)) },
    };
  },
  async run({ prompt, chat, maxTokens, temperature, seed, save, load }, { engine, report }) {
    const conversation = engine.conversation(CONVERSATION);
    if (load) await engine.load(CONVERSATION, new MemorySource(fromBase64(load.base64), load.name));
    const messages: ChatMessage[] = [
      ...(conversation.messages ?? []),
      { role: "user", content: prompt },
    ];
    if (chat && load && !conversation.messages)
      throw invalidArgument("--load", `${load.name} is of no chat`, "Leave out --chat.");
    const { tokenizer, template } = engine;
    // Without a template a text goes on where it ended.
    const before = load ? conversation.tokens : tokenizer.prefix;
    const input = chat
      ? template.encode(messages, tokenizer, { addGenerationPrompt: true })
      : [...before, ...tokenizer.encode(prompt)];
    let text = "";
    let done = 0;
    // The token drawn last is not run: one more is drawn, and left out, so that the file has the whole text.
    const drawn = maxTokens + Number(save !== undefined && !chat);
    const { tokens: all, usage } = await runPrompt(
      engine,
      conversation,
      input,
      {
        maxTokens: drawn,
        stop: chat ? template.stop : [],
        sampling: { ...GREEDY, temperature, seed },
      },
      {
        onDeltas: (deltas) => {
          done += 1;
          if (done <= maxTokens) for (const { content = "" } of deltas) text += content;
          report("generate", Math.min(done, maxTokens), maxTokens);
        },
        onProgress: ({ read, total }) => {
          if (total > CHUNK_ROWS) report("reading the prompt", read, total);
        },
        signal: new AbortController().signal,
      },
    );
    const tokens = all.slice(0, maxTokens);
    conversation.messages = chat ? [...messages, { role: "assistant", content: text }] : undefined;
    const saved = save === undefined ? undefined : await engine.save(CONVERSATION);
    return {
      json: {
        text,
        tokens,
        prompt_tokens: usage.prompt_tokens,
        usage: {
          ...usage,
          completion_tokens: tokens.length,
          total_tokens: usage.prompt_tokens + tokens.length,
        },
        cache: conversation.usage(),
        adapter: engine.info().adapter,
      },
      text,
      ...(save && saved ? { files: { [save]: new Uint8Array(await saved.arrayBuffer()) } } : {}),
    };
  },
};
