import { invalidArgument } from "../../errors.ts";
import { checkNumber, describe, readFields, reading } from "./check.ts";
import * as further from "./openai-fields.ts";
import { type CheckedRequest, checkRequest } from "./validate-request.ts";

/** Fields that mean what they mean in chats. */
const SHARED = [
  "stream",
  "stream_options",
  "max_tokens",
  "temperature",
  "top_p",
  "top_k",
  "min_p",
  "repetition_penalty",
  "frequency_penalty",
  "presence_penalty",
  "seed",
  "stop",
  "n",
  "logit_bias",
  "response_format",
  "speculative",
  "model",
  "user",
];
const OWN = ["prompt", "logprobs", "best_of", "echo", "suffix"];
/** OpenAI's. */
const DEFAULT_TOKENS = 16;

/** Checks a request of completions.create. Throws invalid_argument naming the field. */
export function checkCompletion(value: unknown): CheckedRequest {
  const given = readFields("request", value, [...SHARED, ...OWN], { path: "" });
  const shared = Object.fromEntries(SHARED.map((name) => [name, given[name]]));
  const messages = [{ role: "user", content: "" }];
  const checked = checkRequest({ ...shared, messages }, further);
  const { logprobs, echo, suffix, best_of: best } = given;
  refuseUnless(echo === undefined || echo === false, "echo", "the prompt is not repeated");
  refuseUnless(
    suffix === undefined || suffix === "",
    "suffix",
    "nothing is filled in before a text",
  );
  refuseUnless(
    best === undefined || best === checked.n,
    "best_of",
    "no more answers are made than n gives",
  );
  return {
    ...checked,
    messages: [],
    prompt: reading("prompt", () => checkPrompt(given.prompt)),
    maxTokens: checked.maxTokens ?? DEFAULT_TOKENS,
    topLogprobs:
      logprobs === undefined
        ? undefined
        : checkNumber("logprobs", logprobs, { min: 0, max: 20, integer: true }),
  };
}

function refuseUnless(good: boolean, field: string, problem: string): void {
  if (!good) throw invalidArgument(field, problem, "Leave the field out.");
}

function checkPrompt(value: unknown): string | number[] {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.length === 1 && typeof value[0] !== "number")
    return checkPrompt(value[0]);
  const isIds = Array.isArray(value) && value.length > 0;
  if (isIds && value.every((id) => Number.isSafeInteger(id) && id >= 0)) return [...value];
  throw invalidArgument(
    "prompt",
    `must be a text or token ids, not ${describe(value)}`,
    "Send one request per prompt.",
  );
}
