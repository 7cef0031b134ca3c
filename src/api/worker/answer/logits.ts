import type { DrawWishes } from "../../../engine/steps/draw-wishes.ts";
import { invalidArgument } from "../../../errors.ts";
import type { TokenScores } from "../../../kernels/sampling/token-scores.ts";
import type { Tokenizer } from "../../../text/types.ts";
import type { LogitOptions } from "../../checks/validate-logits.ts";
import type { TokenLogprob } from "../../types.ts";

/** What the engine is to do around each draw. Throws invalid_argument for an id that the model does not have. */
export function drawWishes(
  { vocabSize }: Tokenizer,
  { topLogprobs, logitBias }: Partial<LogitOptions>,
): DrawWishes {
  const wrong = logitBias?.find(([id]) => id >= vocabSize);
  if (wrong)
    throw invalidArgument(
      `logit_bias.${wrong[0]}`,
      `is not a token id below ${vocabSize}`,
      "Ids are those of the model's own tokenizer.",
    );
  return { topLogprobs, logitBias: logitBias && new Map(logitBias) };
}

/** A token and what the model said of it, in OpenAI's shape. */
export function tokenLogprob(
  tokenizer: Tokenizer,
  token: number,
  { logprob, top }: TokenScores,
): TokenLogprob {
  const described = (id: number, logprob: number) => {
    const bytes = [...tokenizer.tokenBytes(id)];
    return {
      token:
        tokenizer.decode([id], { special: true }) ||
        new TextDecoder().decode(Uint8Array.from(bytes)),
      logprob,
      bytes: bytes.length > 0 ? bytes : null,
    };
  };
  const likely = top.map((entry) => described(entry.token, entry.logprob));
  return { ...described(token, logprob), top_logprobs: likely };
}
