import { invalidArgument } from "../../errors.ts";
import type { Command } from "../command.ts";
import { CONVERSATION } from "../defaults.ts";
import { CACHE_FLAGS, CACHE_USAGE, isSet, required, wholeNumber } from "../flags.ts";

interface Input {
  text: string;
  tokens: number;
  offset: number;
  chunk: number;
  bos: boolean;
}

/**
 * The text is tokenised whole, nothing added, and tokens [offset, offset + tokens) are taken. With --bos the
 * model's first token goes in front of them, where the model has one; the same tokens are predicted.
 */
export const ppl: Command<Input> = {
  name: "ppl",
  summary: "perplexity of a text under a cache budget",
  usage: `--text FILE --tokens N [--offset K] ${CACHE_USAGE} [--chunk 1] [--bos]`,
  flags: {
    text: "string",
    tokens: "string",
    offset: "string",
    chunk: "string",
    bos: "boolean",
    ...CACHE_FLAGS,
  },
  cacheDefaults: {},
  read: async (flags, files) => ({
    tokens: wholeNumber(flags, "tokens", { min: 2 }),
    offset: wholeNumber(flags, "offset", { min: 0, fallback: 0 }),
    chunk: wholeNumber(flags, "chunk", { min: 1, fallback: 1 }),
    bos: isSet(flags, "bos"),
    text: await files.readText("text", required(flags, "text")),
  }),
  async run({ text, tokens, offset, chunk, bos }, { engine, report }) {
    const conversation = engine.conversation(CONVERSATION);
    if (!conversation.endless && tokens + (bos ? 1 : 0) > engine.contextLength) {
      throw invalidArgument(
        "--tokens",
        `${tokens} are more than the model's ${engine.contextLength} positions`,
        "Give --budget, and no --whole-layers: under a budget a text may be longer.",
      );
    }
    const all = engine.tokenizer.encode(text);
    if (all.length < offset + tokens) {
      throw invalidArgument(
        "--text",
        `has ${all.length} tokens; offset ${offset} + tokens ${tokens} need ${offset + tokens}`,
      );
    }
    const prefix = bos ? engine.tokenizer.prefix : [];
    const losses = await conversation.nll([...prefix, ...all.slice(offset, offset + tokens)], {
      chunk,
      onProgress: (done) => report("ppl", done, prefix.length + tokens - 1),
    });
    const nll = Array.from(losses.subarray(prefix.length));
    const mean = nll.reduce((sum, value) => sum + value, 0) / nll.length;
    const perplexity = Math.exp(mean);
    const cache = conversation.usage();
    return {
      json: { ppl: perplexity, nll, tokens, cache, adapter: engine.info().adapter },
      text: `perplexity ${perplexity.toFixed(4)} over ${nll.length} predictions (budget ${cache.budget}, ${cache.policy})`,
    };
  },
};
