import { invalidArgument, WinnowError } from "../../errors.ts";
import type { ModelConfig } from "../../model/config.ts";

/** Throws invalid_argument for what is no prompt of the model, and context_overflow where a chat with an end cannot hold it. */
export function checkPrompt(
  tokens: readonly number[],
  { vocabulary, contextLength }: ModelConfig,
  endless: boolean,
): void {
  if (tokens.length === 0) throw invalidArgument("prompt", "holds no tokens");
  const wrong = tokens.findIndex(
    (token) => !Number.isInteger(token) || token < 0 || token >= vocabulary,
  );
  if (wrong >= 0)
    throw invalidArgument(
      `tokens[${wrong}]`,
      `${tokens[wrong]} is not a token id below ${vocabulary}`,
    );
  if (tokens.length > contextLength && !endless)
    throw new WinnowError(
      "context_overflow",
      `the prompt has ${tokens.length} tokens, the model was trained for ${contextLength} positions`,
      {
        hint: "Give the cache a budget, under which a chat has no end, or shorten the prompt.",
        details: { tokens: tokens.length, contextLength },
      },
    );
}
