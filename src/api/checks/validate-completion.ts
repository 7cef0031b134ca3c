import { invalidArgument } from "../../errors.ts";
import { checkBoolean, checkNumber, describe, readFields, reading } from "./check.ts";
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

/** A request of completions.create that is in order. */
export interface CheckedCompletion {
  /** What is asked of each prompt. */
  readonly checked: CheckedRequest;
  readonly prompts: (string | number[])[];
  /** Whether a text begins with its prompt. */
  readonly echo: boolean;
}

/** Checks a request of completions.create. Throws invalid_argument naming the field. */
export function checkCompletion(value: unknown): CheckedCompletion {
  const given = readFields("request", value, [...SHARED, ...OWN], { path: "" });
  const shared = Object.fromEntries(SHARED.map((name) => [name, given[name]]));
  const messages = [{ role: "user", content: "" }];
  const checked = checkRequest({ ...shared, messages }, further);
  const { logprobs, suffix, best_of: best } = given;
  const prompts = reading("prompt", () => checkPrompts(given.prompt));
  const echo = given.echo !== undefined && checkBoolean("echo", given.echo);
  refuseUnless(
    !echo || logprobs === undefined,
    "echo",
    "a prompt has no log probabilities beside those of its continuation",
  );
  refuseUnless(
    !echo || prompts.every((prompt) => typeof prompt === "string"),
    "echo",
    "token ids are not repeated as text",
  );
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
  const topLogprobs =
    logprobs === undefined
      ? undefined
      : checkNumber("logprobs", logprobs, { min: 0, max: 20, integer: true });
  const maxTokens = checked.maxTokens ?? DEFAULT_TOKENS;
  return { checked: { ...checked, messages: [], maxTokens, topLogprobs }, prompts, echo };
}

function refuseUnless(good: boolean, field: string, problem: string): void {
  if (!good) throw invalidArgument(field, problem, "Leave the field out.");
}

/** One prompt, or a list of them. */
function checkPrompts(value: unknown): (string | number[])[] {
  const several = Array.isArray(value) && value.length > 0 && typeof value[0] !== "number";
  return several ? value.map(checkPrompt) : [checkPrompt(value)];
}

function checkPrompt(value: unknown): string | number[] {
  if (typeof value === "string") return value;
  const isIds = Array.isArray(value) && value.length > 0;
  if (isIds && value.every((id) => Number.isSafeInteger(id) && id >= 0)) return [...value];
  throw invalidArgument(
    "prompt",
    `must be a text or token ids, or a list of such, not ${describe(value)}`,
  );
}
