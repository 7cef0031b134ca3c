import { checkResponseFormat } from "../../api/checks/validate-response-format.ts";
import type { ResponseFormat } from "../../api/types.ts";
import { loadLater } from "../../errors.ts";
import { notSupported } from "./errors.ts";
import type { ReadPrompt, TextMessage } from "./read-prompt.ts";
import type { PromptOptions } from "./types.ts";

/** What an answer is held to, and what the model is told of it. */
export interface ReadConstraint {
  readonly format: ResponseFormat;
  /** Behind the last message of the user; undefined: nothing. */
  readonly note: string | undefined;
}

/** Throws TypeError for what is neither a schema nor a RegExp, NotSupportedError for what cannot be written down. */
export function readConstraint({
  responseConstraint: constraint,
  omitResponseConstraintInput: omit = false,
}: PromptOptions): ReadConstraint | undefined {
  if (constraint === undefined) {
    if (omit)
      throw new TypeError("omitResponseConstraintInput is given without a responseConstraint.");
    return undefined;
  }
  if (typeof constraint !== "object" || constraint === null)
    throw new TypeError("responseConstraint must be a JSON schema or a RegExp.");
  if (isRegExp(constraint)) {
    // Flags widen what matches, or say where to look: a text of the pattern alone matches with each of them.
    const { source } = constraint;
    const note = `Answer with a text that matches the regular expression ${constraint}`;
    return { format: { type: "regex", pattern: source }, note: omit ? undefined : note };
  }
  const text = written(constraint);
  const note = `Answer in JSON by this schema: ${text}`;
  const schema = JSON.parse(text) as Record<string, unknown>;
  return {
    format: { type: "json_schema", json_schema: { name: "response", schema } },
    note: omit ? undefined : note,
  };
}

/** Whether a text, its prefix included, is all that was asked for. */
export async function isWhole({ format }: ReadConstraint, text: string): Promise<boolean> {
  const { fits } = await loadLater("constraints", () => import("../../constraint/fits.ts"));
  return fits(checkResponseFormat(format)!, text);
}

const isRegExp = (value: object): value is RegExp =>
  Object.prototype.toString.call(value) === "[object RegExp]";

function written(schema: object): string {
  try {
    return JSON.stringify(schema);
  } catch (error) {
    throw notSupported(`The schema is not JSON: ${(error as Error).message}`);
  }
}

/** The prompt with what the model is told of the constraint, behind the last message of the user. */
export function withNote(prompt: ReadPrompt, note: string | undefined): ReadPrompt {
  if (note === undefined) return prompt;
  const last = prompt.messages.findLastIndex(({ role }) => role === "user");
  const noted = (message: TextMessage): TextMessage => ({
    ...message,
    content: `${message.content}\n\n${note}`,
  });
  if (last >= 0)
    return { ...prompt, messages: prompt.messages.with(last, noted(prompt.messages[last]!)) };
  const [answer] = prompt.prefix ? prompt.messages.slice(-1) : [];
  const before = answer ? prompt.messages.slice(0, -1) : prompt.messages;
  const told: TextMessage = { role: "user", content: note };
  return { ...prompt, messages: [...before, told, ...(answer ? [answer] : [])] };
}
