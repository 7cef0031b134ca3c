import { invalidArgument } from "../../errors.ts";
import type { ChatMessage } from "../../text/types.ts";
import { checkBoolean, describe, isGiven, reading } from "./check.ts";
import { checkLogits, LOGIT_FIELDS } from "./validate-logits.ts";
import { checkResponseFormat } from "./validate-response-format.ts";
import { checkThoughts, THOUGHT_FIELDS } from "./validate-thoughts.ts";
import { type CheckedTools, checkTools } from "./validate-tools.ts";

export { callChecks } from "./validate-tools.ts";

/** What a field of OpenAI's API may hold here: what asks for nothing that this engine lacks. */
interface Field {
  readonly takes: (value: unknown) => boolean;
  /** Why anything else is refused. */
  readonly problem: string;
  readonly hint: string;
}

const LEAVE_OUT = "Leave the field out.";

const only =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const nothing = only();
const anything = (): boolean => true;

/** [], {}, and lists or objects that hold nothing but what `entry` takes. */
const each =
  (entry: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    typeof value === "object" && value !== null && Object.values(value).every(entry);

const refused = (
  problem: string,
  takes: (value: unknown) => boolean = nothing,
  hint = LEAVE_OUT,
): Field => ({ takes, problem, hint });

/** Says something about a request and asks for nothing. */
const LABEL: Field = { takes: anything, problem: "", hint: "" };

const FUNCTIONS = "functions are not supported";

const FIELDS: Readonly<Record<string, Field>> = {
  user: LABEL,
  metadata: LABEL,
  safety_identifier: LABEL,
  prompt_cache_key: LABEL,
  prompt_cache_options: LABEL,
  prompt_cache_retention: LABEL,
  parallel_tool_calls: LABEL,
  tools: refused("tools come in an array", each(nothing)),
  tool_choice: refused("there are no tools", only("none", "auto")),
  functions: refused(FUNCTIONS, each(nothing)),
  function_call: refused(FUNCTIONS, only("none", "auto")),
  modalities: refused("answers are text alone", each(only("text"))),
  audio: refused("answers are text alone"),
  store: refused(
    "nothing is stored",
    only(false),
    "Leave the field out, and keep what shall be kept in your app.",
  ),
  service_tier: refused("there is no service with tiers", only("auto", "default")),
  verbosity: refused("how much a model says cannot be set", only("medium")),
  prediction: refused(
    "a prediction is not taken",
    nothing,
    "Leave the field out; what an answer repeats of the conversation is guessed without.",
  ),
  moderation: refused("there is no moderation"),
  web_search_options: refused("there is no web search"),
};

const CONTINUE = "continue_final_message";
const FORMAT = "response_format";

/** Fields that few requests have. */
export const FURTHER_FIELDS: readonly string[] = [
  ...Object.keys(FIELDS),
  ...THOUGHT_FIELDS,
  ...LOGIT_FIELDS,
  CONTINUE,
  FORMAT,
];

/** What they say. Throws invalid_argument naming the field. */
export const checkFurther = (
  given: Readonly<Record<string, unknown>>,
  messages: readonly ChatMessage[],
) => ({
  ...checkLead(messages, given[CONTINUE]),
  tools: checkOpenAiFields(given),
  format: checkResponseFormat(given[FORMAT]),
  ...checkThoughts(given),
  ...checkLogits(given),
});

/**
 * The tools of a request, if it has some. Throws invalid_argument for a field that asks for what cannot be done; one that asks
 * for nothing is as if left out.
 */
function checkOpenAiFields(given: Readonly<Record<string, unknown>>): CheckedTools | undefined {
  const callable = checkTools(given);
  for (const [name, { takes, problem, hint }] of Object.entries(FIELDS)) {
    const value = given[name];
    if (!isGiven(value) || (callable && OF_TOOLS.includes(name))) continue;
    if (reading(name, () => takes(value))) continue;
    throw invalidArgument(name, `${problem}, and ${describe(value)} asks for it`, hint);
  }
  return callable;
}

const OF_TOOLS = ["tools", "tool_choice"];

/** The last message apart, where the answer goes on from it. */
function checkLead(
  messages: readonly ChatMessage[],
  value: unknown,
): { messages?: ChatMessage[]; lead?: string } {
  if (value === undefined || !checkBoolean(CONTINUE, value)) return {};
  const last = messages.at(-1)!;
  if (last.role === "assistant" && messages.length > 1)
    return { messages: messages.slice(0, -1), lead: last.content };
  throw invalidArgument(CONTINUE, "the last of at least two messages must be an assistant's");
}
