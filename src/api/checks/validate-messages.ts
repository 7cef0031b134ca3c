import { invalidArgument } from "../../errors.ts";
import type { ChatMessage as TemplateMessage } from "../../text/types.ts";
import { checkOneOf, describe, reading, splitFields } from "./check.ts";

const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;

const FIELDS = ["role", "content", "refusal", "tool_calls", "function_call", "audio"];
/** Fields of anyone's messages that say something beside the text and ask for nothing. */
const LABELS = ["name", "tool_call_id", "id"];

/** Kinds of content parts whose text is read, and the field that it is in. */
const TEXT_PARTS: Readonly<Record<string, string>> = { text: "text", refusal: "refusal" };

/** A message whose fields have been read. */
export interface ReadMessage {
  readonly at: string;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly others: Readonly<Record<string, unknown>>;
}

/** Throws invalid_argument where messages cannot be read. */
export function readMessages(value: unknown): ReadMessage[] {
  return reading("messages", () => {
    if (!Array.isArray(value) || value.length === 0) {
      throw invalidArgument(
        "messages",
        `must be an array of at least one message, not ${describe(value)}`,
      );
    }
    return Array.from(value, (message, index) => {
      const at = `messages[${index}]`;
      return { at, ...splitFields(at, message, FIELDS) };
    });
  });
}

/** Whether a message is of a tool, or calls one. */
export const speaksOfCalls = ({ fields }: ReadMessage): boolean =>
  fields.role === "tool" || (fields.tool_calls ?? fields.function_call) !== undefined;

/** What a message says of calls of tools. Throws invalid_argument. */
export type CheckCalls = (
  at: string,
  role: TemplateMessage["role"],
  given: Readonly<Record<string, unknown>>,
) => Pick<TemplateMessage, "tool_calls" | "tool_call_id" | "name">;

/**
 * A message as chat templates take it: a role and a text. Takes what clients of OpenAI's API send, answers of
 * any kind as history included; `calls` where messages speak of calls. Throws invalid_argument naming the message and the field.
 */
export function checkMessage(
  { at, fields, others }: ReadMessage,
  calls?: CheckCalls,
): TemplateMessage {
  const role = checkOneOf(`${at}.role`, fields.role, ROLES);
  // An answer is taken whatever its maker said beside the text.
  const stranger = Object.keys(others).find((name) => !LABELS.includes(name));
  if (role !== "assistant" && stranger !== undefined) {
    throw invalidArgument(
      `${at}.${stranger}`,
      "unknown field; a message has a role and a content",
      "Leave it out.",
    );
  }
  const speaker = role === "developer" ? "system" : role;
  const message = {
    role: speaker,
    content: textOf(at, role, fields),
    ...calls?.(at, speaker, { ...others, ...fields }),
  } as const;
  const thought = others.reasoning_content;
  return role === "assistant" && typeof thought === "string" && thought !== ""
    ? { ...message, reasoning_content: thought }
    : message;
}

/** The same for all of a chat's messages. */
export const checkMessages = (value: unknown, calls?: CheckCalls): TemplateMessage[] =>
  readMessages(value).map((message) => checkMessage(message, calls));

function textOf(field: string, role: string, given: Readonly<Record<string, unknown>>): string {
  const { content, refusal, audio } = given;
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return textOfParts(`${field}.content`, content);
  if (role === "assistant" && content === undefined) {
    if (typeof refusal === "string") return refusal;
    if (audio === undefined) return "";
    throw invalidArgument(
      `${field}.audio`,
      "audio cannot be read",
      "Give the answer's transcript as its content.",
    );
  }
  throw invalidArgument(
    `${field}.content`,
    `must be a string or an array of text parts, not ${describe(content)}`,
    'For example { role: "user", content: "Hello" }.',
  );
}

/** Texts of the parts, joined with nothing in between. */
function textOfParts(field: string, parts: readonly unknown[]): string {
  return Array.from(parts, (part, index) => {
    const at = `${field}[${index}]`;
    const { fields } = splitFields(at, part, ["type", "text", "refusal"]);
    const { type } = fields;
    const name = typeof type === "string" ? TEXT_PARTS[type] : undefined;
    if (name === undefined) {
      throw invalidArgument(
        `${at}.type`,
        `must be "text", not ${describe(type)}`,
        "Send the text alone: images, audio and files are not read.",
      );
    }
    const text = fields[name];
    if (typeof text === "string") return text;
    throw invalidArgument(`${at}.${name}`, `must be a string, not ${describe(text)}`);
  }).join("");
}
