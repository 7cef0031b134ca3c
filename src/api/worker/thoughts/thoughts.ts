import { invalidArgument } from "../../../errors.ts";
import { type ThoughtMarkers, thoughtMarkers } from "../../../text/template/thought-markers.ts";
import type { ChatTemplate } from "../../../text/types.ts";
import type { CheckedRequest } from "../../checks/validate-request.ts";

/** How the model is to think about one answer. */
export interface Thoughts {
  /** Undefined: the model does not think. */
  readonly markers: ThoughtMarkers | undefined;
  /** Variables for the template. */
  readonly variables: Readonly<Record<string, unknown>>;
  /** Most tokens of the thought. */
  readonly budget: number | undefined;
}

/** Variables by which templates turn thoughts on and off. */
const SWITCHES = ["enable_thinking", "thinking"];
/** Efforts that ask a model that does not think for nothing. */
const NO_EFFORTS: readonly string[] = ["none", "minimal", "medium"];

/**
 * What `reasoning_effort`, `chat_template_kwargs` and `thinking_token_budget` come to with this template. A thought that
 * the template cannot turn off is closed at its first token. Throws invalid_argument for what the model cannot do.
 */
export function planThoughts(
  { source }: ChatTemplate,
  { effort, variables = {}, thoughtBudget }: CheckedRequest,
): Thoughts {
  const markers = thoughtMarkers(source);
  const given: Record<string, unknown> = {};
  let closed = false;
  const set = (name: string, value: unknown): void => {
    if (reads(source, name)) given[name] = value;
    else if (markers && SWITCHES.includes(name)) closed ||= value === false;
    // What is not there to be turned on is off.
    else if (value !== false) throw unknown(name);
  };
  if (effort !== undefined) {
    if (!markers && !NO_EFFORTS.includes(effort)) throw cannotThink(effort);
    const switches = SWITCHES.filter((name) => reads(source, name));
    for (const name of switches) given[name] = effort !== "none";
    if (reads(source, "reasoning_effort")) given.reasoning_effort = effort;
    else if (switches.length === 0) closed = effort === "none";
  }
  for (const [name, value] of Object.entries(variables)) set(name, value);
  return { markers, variables: given, budget: closed ? 0 : thoughtBudget };
}

/** Whether the template names a variable: not a field of something, nor a part of a text. */
const reads = (source: string, name: string): boolean =>
  new RegExp(`(?<![\\w.'"</])${name}(?![\\w'">])`).test(source);

const unknown = (name: string): Error =>
  invalidArgument(
    `chat_template_kwargs.${name}`,
    "the model's chat template does not read it",
    "Leave it out.",
  );

const cannotThink = (effort: string): Error =>
  invalidArgument(
    "reasoning_effort",
    `the model does not think, and "${effort}" asks it to`,
    "Leave the field out, or use a model whose chat template has thoughts.",
  );
