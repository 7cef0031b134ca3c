import { invalidArgument } from "../../errors.ts";
import { describe, isGiven, reading } from "./check.ts";

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

const TOOLS = "tools are not supported yet";
const FUNCTIONS = "functions are not supported";

const FIELDS: Readonly<Record<string, Field>> = {
  user: LABEL,
  metadata: LABEL,
  safety_identifier: LABEL,
  prompt_cache_key: LABEL,
  prompt_cache_options: LABEL,
  prompt_cache_retention: LABEL,
  parallel_tool_calls: LABEL,
  tools: refused(TOOLS, each(nothing)),
  tool_choice: refused(TOOLS, only("none", "auto")),
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

export const OPENAI_FIELDS: readonly string[] = Object.keys(FIELDS);

/** Throws invalid_argument for a field that asks for what cannot be done; one that asks for nothing is as if left out. */
export function checkOpenAiFields(given: Readonly<Record<string, unknown>>): void {
  for (const [name, { takes, problem, hint }] of Object.entries(FIELDS)) {
    const value = given[name];
    if (!isGiven(value) || reading(name, () => takes(value))) continue;
    throw invalidArgument(name, `${problem}, and ${describe(value)} asks for it`, hint);
  }
}
