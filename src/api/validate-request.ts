import type { SamplingOptions, Speculative } from "../engine/generate-options.ts";
import { invalidArgument } from "../errors.ts";
import type { ChatMessage } from "../text/types.ts";
import {
  checkBoolean,
  checkNames,
  checkNumber,
  checkOneOf,
  checkRecord,
  checkSignal,
  checkString,
  describe,
} from "./check.ts";
import type { RequestOptions } from "./types.ts";

/** A chat request with every default filled in: what the engine side works from. */
export interface CheckedRequest {
  messages: ChatMessage[];
  stream: boolean;
  includeUsage: boolean;
  /** undefined: up to the end of the model's positions. */
  maxTokens: number | undefined;
  sampling: SamplingOptions;
  stop: string[];
  /** undefined: the engine's default. */
  speculative: Speculative | undefined;
  /** What to echo as `model`, where the caller named one. */
  model: string | undefined;
}

const REQUEST_FIELDS = [
  "messages",
  "stream",
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
  "stream_options",
  "speculative",
  "model",
  "n",
];

/** Fields of OpenAI's API that callers expect, and why they are refused rather than ignored. */
const REFUSED: Record<string, string> = {
  tools: "tools are not supported yet; leave the field out",
  tool_choice: "tools are not supported yet; leave the field out",
  functions: "functions are not supported; leave the field out",
  function_call: "functions are not supported; leave the field out",
  response_format: "constrained output is not supported yet; leave the field out",
  logprobs: "log probabilities are not supported in chat; `winnow logits` prints logits",
  top_logprobs: "log probabilities are not supported in chat; `winnow logits` prints logits",
  logit_bias: "logit_bias is not supported; leave the field out",
  max_completion_tokens: "not supported under this name; use max_tokens",
  signal: "belongs in the second argument: create(request, { signal })",
  conversation: "belongs in the second argument: create(request, { conversation })",
};

/** What numbers a request may name, where a page offers them too. */
export const REQUEST_LIMITS = {
  max_tokens: { min: 1, max: 2 ** 24, integer: true },
  temperature: { min: 0, max: 5 },
} as const;

export const SPECULATIVE = ["off", "lookup"] as const satisfies readonly Speculative[];

const ROLES = [
  "system",
  "user",
  "assistant",
  "tool",
] as const satisfies readonly ChatMessage["role"][];

/** Checks a request of chat.completions.create. Throws invalid_argument naming the field. */
export function checkRequest(value: unknown): CheckedRequest {
  const given = checkRecord("request", value);
  checkNames("", given, REQUEST_FIELDS, REFUSED);
  const number = (
    name: string,
    fallback: number,
    min: number,
    max: number,
    integer = false,
  ): number =>
    given[name] === undefined ? fallback : checkNumber(name, given[name], { min, max, integer });
  if (given.n !== undefined && given.n !== 1) {
    throw invalidArgument(
      "n",
      `must be 1, not ${describe(given.n)}`,
      "Send one request per answer.",
    );
  }
  const stream = given.stream === undefined ? false : checkBoolean("stream", given.stream);
  return {
    messages: checkMessages(given.messages),
    stream,
    includeUsage: checkStreamOptions(given.stream_options, stream),
    maxTokens:
      given.max_tokens === undefined
        ? undefined
        : checkNumber("max_tokens", given.max_tokens, REQUEST_LIMITS.max_tokens),
    sampling: {
      temperature:
        given.temperature === undefined
          ? 0.7
          : checkNumber("temperature", given.temperature, REQUEST_LIMITS.temperature),
      topK: number("top_k", 0, 0, 2 ** 20, true),
      topP: number("top_p", 1, 0, 1),
      minP: number("min_p", 0, 0, 1),
      repetitionPenalty: number("repetition_penalty", 1, 0.01, 10),
      frequencyPenalty: number("frequency_penalty", 0, -2, 2),
      presencePenalty: number("presence_penalty", 0, -2, 2),
      seed: number("seed", randomSeed(), 0, 2 ** 32 - 1, true),
    },
    stop: checkStop(given.stop),
    speculative:
      given.speculative === undefined
        ? undefined
        : checkOneOf("speculative", given.speculative, SPECULATIVE),
    model: given.model === undefined ? undefined : checkString("model", given.model),
  };
}

const randomSeed = (): number => Math.floor(Math.random() * 2 ** 32);

function checkMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw invalidArgument(
      "messages",
      `must be an array of at least one message, not ${describe(value)}`,
    );
  }
  return value.map((message, index) => {
    const field = `messages[${index}]`;
    const given = checkRecord(field, message);
    checkNames(field, given, ["role", "content"]);
    const role = checkOneOf(`${field}.role`, given.role, ROLES);
    if (typeof given.content !== "string") {
      throw invalidArgument(
        `${field}.content`,
        `must be a string, not ${describe(given.content)}`,
        "Content parts (text, image_url) are not supported; pass plain text.",
      );
    }
    return { role, content: given.content };
  });
}

function checkStreamOptions(value: unknown, stream: boolean): boolean {
  if (value === undefined) return true;
  const given = checkRecord("stream_options", value);
  checkNames("stream_options", given, ["include_usage"]);
  if (!stream) throw invalidArgument("stream_options", "is only allowed with stream: true");
  return given.include_usage === undefined
    ? true
    : checkBoolean("stream_options.include_usage", given.include_usage);
}

function checkStop(value: unknown): string[] {
  if (value === undefined) return [];
  const list = Array.isArray(value) ? value : [value];
  if (list.length > 16) throw invalidArgument("stop", `at most 16 strings, not ${list.length}`);
  return list.map((entry, index) =>
    checkString(Array.isArray(value) ? `stop[${index}]` : "stop", entry),
  );
}

export const DEFAULT_CONVERSATION = "default";

/** The second argument of create(): where to answer and how to stop. */
export function checkRequestOptions(value: unknown): {
  signal?: AbortSignal;
  conversation: string;
} {
  const given: RequestOptions & Record<string, unknown> =
    value === undefined ? {} : checkRecord("options", value);
  checkNames("options", given, ["signal", "conversation"]);
  if (given.signal !== undefined) checkSignal("options.signal", given.signal);
  const conversation =
    given.conversation === undefined
      ? DEFAULT_CONVERSATION
      : checkString("options.conversation", given.conversation);
  return given.signal ? { signal: given.signal, conversation } : { conversation };
}
