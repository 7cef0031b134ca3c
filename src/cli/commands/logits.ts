import { invalidArgument } from "../../errors.ts";
import type { Command } from "../command.ts";
import { CONVERSATION } from "../defaults.ts";
import { CACHE_FLAGS, CACHE_USAGE, required, wholeNumber } from "../flags.ts";

interface Input {
  tokens: number[];
  top: number;
}

export const logits: Command<Input> = {
  name: "logits",
  summary: "the highest logits after a sequence of token ids",
  usage: `--tokens 1,2,3 [--top 20] ${CACHE_USAGE}`,
  flags: { tokens: "string", top: "string", ...CACHE_FLAGS },
  cacheDefaults: { budget: "full" },
  read: async (flags) => ({
    tokens: parseTokens(required(flags, "tokens")),
    top: wholeNumber(flags, "top", { min: 1, fallback: 20 }),
  }),
  async run({ tokens, top }, { engine, report }) {
    const { vocabSize } = engine.tokenizer;
    const unknown = tokens.find((id) => id >= vocabSize);
    if (unknown !== undefined) {
      throw invalidArgument(
        "--tokens",
        `${unknown} is no token of this model, which has ${vocabSize}`,
      );
    }
    const conversation = engine.conversation(CONVERSATION);
    if (!conversation.endless && tokens.length > engine.contextLength) {
      throw invalidArgument(
        "--tokens",
        `${tokens.length} are more than the model's ${engine.contextLength} positions`,
        "Give --budget, and no --whole-layers: there may be more under a budget.",
      );
    }
    const last = await conversation.logits(tokens, {
      onProgress: (done) => report("logits", done, tokens.length),
    });
    const best = highest(last, top);
    const line = ([id, logit]: [number, number]): string =>
      `${id}\t${logit.toFixed(4)}\t${JSON.stringify(engine.tokenizer.decode([id], { special: true }))}`;
    return {
      json: { top: best, adapter: engine.info().adapter },
      text: best.map(line).join("\n"),
    };
  },
};

function parseTokens(text: string): number[] {
  return text.split(",").map((part) => {
    if (!/^\s*\d+\s*$/.test(part)) {
      throw invalidArgument("--tokens", `must be token ids with commas between, not "${text}"`);
    }
    return Number(part);
  });
}

/** The `count` highest as [id, logit], highest first; the lower id first where two are equal. */
function highest(values: Float32Array, count: number): [number, number][] {
  return Array.from(values, (logit, id): [number, number] => [id, logit])
    .sort((a, b) => b[1] - a[1] || a[0] - b[0])
    .slice(0, count);
}
