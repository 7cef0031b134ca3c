import type { Format } from "../../constraint/constrain.ts";
import type { SamplingOptions, Speculative } from "../../engine/chat/generate-options.ts";
import { invalidArgument } from "../../errors.ts";
import type { ChatMessage } from "../../text/types.ts";
import type { RequestOptions } from "../types.ts";
import {
  checkBoolean,
  checkHooks,
  checkNumber,
  checkOneOf,
  checkSeed,
  checkString,
  isGiven,
  randomSeed,
  readFields,
  reading,
  splitFields,
} from "./check.ts";
import type { LogitOptions } from "./validate-logits.ts";
import {
  checkMessage,
  type ReadMessage,
  readMessages,
  speaksOfCalls,
} from "./validate-messages.ts";
import type { ThoughtOptions } from "./validate-thoughts.ts";
import type { CheckedTools } from "./validate-tools.ts";

/** A chat request with every default filled in: what the engine side works from. */
export interface CheckedRequest extends Partial<ThoughtOptions>, Partial<LogitOptions> {
  messages: ChatMessage[];
  /** How the answer begins, which is given; it is not a part of what is said. */
  lead?: string;
  /** undefined: none. */
  tools?: CheckedTools | undefined;
  /** A text, or its token ids, that is continued in place of a chat. */
  prompt?: string | number[];
  /** Whether it is read alone, for an answer that is asked for later. */
  ahead?: true;
  /** How many answers. */
  n: number;
  stream: boolean;
  includeUsage: boolean;
  /** undefined: up to the end of the model's positions. */
  maxTokens: number | undefined;
  sampling: SamplingOptions;
  stop: string[];
  /** undefined: any text. */
  format?: Format | undefined;
  /** undefined: the engine's default. */
  speculative: Speculative | undefined;
  /** Echoed as `model`, if the caller named one. */
  model: string | undefined;
}

const REQUEST_FIELDS = [
  "messages",
  "stream",
  "max_tokens",
  "max_completion_tokens",
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

/** Names that callers expect elsewhere than they are. */
const REASONS: Record<string, string> = {
  signal: "belongs in the second argument: create(request, { signal })",
  conversation: "belongs in the second argument: create(request, { conversation })",
  onProgress: "belongs in the second argument: create(request, { onProgress })",
};

/** Ranges of numbers in a request that a page offers too. */
export const REQUEST_LIMITS = {
  max_tokens: { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true },
  temperature: { min: 0, max: 5 },
} as const;

/** Most answers to one request: each takes memory of its own. */
const MOST_ANSWERS = 8;

export const SPECULATIVE = ["off", "lookup"] as const satisfies readonly Speculative[];

/** The checks of what few requests have, which are loaded where one has it. */
export type FurtherChecks = typeof import("./openai-fields.ts");

/** A request whose fields have been read. */
interface ReadRequest {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly others: Readonly<Record<string, unknown>>;
  readonly messages: readonly ReadMessage[];
  /** Whether it has what `FurtherChecks` are for. */
  readonly more: boolean;
}

/** Reads a request, each field once. Throws invalid_argument where that fails. */
export function readRequest(value: unknown): ReadRequest {
  const { fields, others } = splitFields("request", value, REQUEST_FIELDS, "");
  const messages = readMessages(fields.messages);
  const more = Object.keys(others).length > 0 || messages.some(speaksOfCalls);
  return { fields, others, messages, more };
}

/** Checks a request of chat.completions.create. Throws invalid_argument naming the field. */
export const checkRequest = (value: unknown, more?: FurtherChecks): CheckedRequest =>
  checkRead(readRequest(value), more);

/** The same for one that has been read. */
export function checkRead(
  { fields, others, messages }: ReadRequest,
  more?: FurtherChecks,
): CheckedRequest {
  const known = [...REQUEST_FIELDS, ...(more?.FURTHER_FIELDS ?? [])];
  const beside = readFields("request", others, known, { path: "", reasons: REASONS });
  const given: Readonly<Record<string, unknown>> = { ...fields, ...beside };
  const calls = more?.callChecks();
  const number = (
    name: string,
    fallback: number,
    min: number,
    max: number,
    integer = false,
  ): number =>
    given[name] === undefined ? fallback : checkNumber(name, given[name], { min, max, integer });
  const limit = (name: string): number =>
    given[name] === undefined
      ? Number.POSITIVE_INFINITY
      : checkNumber(name, given[name], REQUEST_LIMITS.max_tokens);
  const maxTokens = Math.min(limit("max_tokens"), limit("max_completion_tokens"));
  const chat = messages.map((message) => checkMessage(message, calls));
  return {
    messages: chat,
    stream: given.stream === undefined ? false : checkBoolean("stream", given.stream),
    includeUsage: checkStreamOptions(given.stream_options),
    maxTokens: Number.isFinite(maxTokens) ? maxTokens : undefined,
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
      seed: given.seed === undefined ? randomSeed() : checkSeed("seed", given.seed),
    },
    n: number("n", 1, 1, MOST_ANSWERS, true),
    stop: checkStop(given.stop),
    ...more?.checkFurther(given, chat),
    speculative:
      given.speculative === undefined
        ? undefined
        : checkOneOf("speculative", given.speculative, SPECULATIVE),
    model: given.model === undefined ? undefined : checkString("model", given.model),
  };
}

function checkStreamOptions(value: unknown): boolean {
  if (value === undefined) return true;
  const known = ["include_usage", "include_obfuscation"];
  const given = readFields("stream_options", value, known);
  const flag = (name: string): boolean | undefined =>
    given[name] === undefined ? undefined : checkBoolean(`stream_options.${name}`, given[name]);
  if (flag("include_obfuscation")) {
    throw invalidArgument(
      "stream_options.include_obfuscation",
      "is not supported: nothing crosses a network",
      "Leave the field out.",
    );
  }
  return flag("include_usage") ?? true;
}

function checkStop(value: unknown): string[] {
  if (value === undefined) return [];
  return reading("stop", () => {
    if (!Array.isArray(value)) return [checkString("stop", value)];
    if (value.length > 16) throw invalidArgument("stop", `at most 16 strings, not ${value.length}`);
    return Array.from(value, (entry, index) => checkString(`stop[${index}]`, entry));
  });
}

export const DEFAULT_CONVERSATION = "default";

/** Options of requests to a server that ask for nothing here: an engine on this machine has nothing to send again. */
const LABELS = ["maxRetries", "idempotencyKey"];

/** Where a request is answered, how it is stopped, and who is told how far reading has come. */
export interface CheckedRequestOptions {
  conversation: string;
  signal?: AbortSignal;
  onProgress?: NonNullable<RequestOptions["onProgress"]>;
}

/** The second argument of create(): where to answer, how to stop, and who is told how far reading has come. */
export function checkRequestOptions(value: unknown): CheckedRequestOptions {
  const known = ["signal", "conversation", "onProgress", ...LABELS];
  const reasons = { timeout: "is not supported; use signal: AbortSignal.timeout(milliseconds)" };
  const given = isGiven(value) ? readFields("options", value, known, { reasons }) : {};
  const conversation =
    given.conversation === undefined
      ? DEFAULT_CONVERSATION
      : checkString("options.conversation", given.conversation);
  return {
    conversation,
    ...checkHooks<NonNullable<RequestOptions["onProgress"]>>(given, "options."),
  };
}
