import { invalidArgument } from "../../errors.ts";
import { checkBoolean, checkNumber, splitFields } from "./check.ts";

export const LOGIT_FIELDS = ["logprobs", "top_logprobs", "logit_bias"] as const;

/** What is to be told of the tokens that are drawn, and how they are favoured. */
export interface LogitOptions {
  /** How many of the likeliest tokens are told beside each; undefined: no log probabilities. */
  topLogprobs: number | undefined;
  /** Token ids and what is added to their logits. Which ids there are is known where the model is. */
  logitBias: [number, number][] | undefined;
}

/** Throws invalid_argument naming the field. */
export function checkLogits(given: Readonly<Record<string, unknown>>): LogitOptions {
  const { logprobs, top_logprobs: top, logit_bias: bias } = given;
  const count =
    top === undefined ? 0 : checkNumber("top_logprobs", top, { min: 0, max: 20, integer: true });
  const wanted = logprobs !== undefined && checkBoolean("logprobs", logprobs);
  if (count > 0 && !wanted)
    throw invalidArgument("top_logprobs", "comes with logprobs", "Set logprobs to true.");
  return {
    topLogprobs: wanted ? count : undefined,
    logitBias: bias === undefined ? undefined : checkBias(bias),
  };
}

export function checkBias(value: unknown): LogitOptions["logitBias"] {
  const { others } = splitFields("logit_bias", value, []);
  const biases = Object.entries(others).map(([id, bias]): [number, number] => {
    const field = `logit_bias.${id}`;
    if (!/^\d{1,9}$/.test(id)) throw invalidArgument(field, "is no token id");
    return [Number(id), checkNumber(field, bias, { min: -100, max: 100 })];
  });
  const given = biases.filter(([, bias]) => bias !== 0);
  return given.length > 0 ? given : undefined;
}
