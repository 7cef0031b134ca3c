import { invalidArgument } from "../../errors.ts";
import type { ChatMessage as TemplateMessage } from "../../text/types.ts";
import { checkOneOf, describe, isGiven, reading, splitFields } from "./check.ts";

const ROLES = ["system", "developer", "user", "assistant", "tool"] as const;

const FIELDS = ["role", "content", "refusal", "tool_calls", "function_call", "audio"];
/** Fields of anyone's messages that say something beside the text and ask for nothing. */
const LABELS = ["name", "tool_call_id", "id"];

/** Kinds of content parts whose text is read, and the field that it is in. */
const TEXT_PARTS: Readonly<Record<string, string>> = { text: "text", refusal: "refusal" };

/**
 * Messages as chat templates take them: a role and a text. Takes what clients of OpenAI's API send, answers of
 * any kind as history included. Throws invalid_argument naming the message and the field.
 */
export function checkMessages(value: unknown): TemplateMessage[] {
  return reading("messages", () => {
    if (!Array.isArray(value) || value.length === 0) {
      throw invalidArgument(
        "messages",
        `must be an array of at least one message, not ${describe(value)}`,
      );
    }
    return Array.from(value, (message, index) => checkMessage(`messages[${index}]`, message));
  });
}

function checkMessage(field: string, value: unknown): TemplateMessage {
  const { fields, others } = splitFields(field, value, FIELDS);
  const role = checkOneOf(`${field}.role`, fields.role, ROLES);
  // An answer is taken whatever its maker said beside the text.
  const stranger = Object.keys(others).find((name) => !LABELS.includes(name));
  if (role !== "assistant" && stranger !== undefined) {
    throw invalidArgument(
      `${field}.${stranger}`,
      "unknown field; a message has a role and a content",
      "Leave it out.",
    );
  }
  checkCalls(field, fields);
  const content = textOf(field, role, fields);
  const thought = others.reasoning_content;
  if (role === "assistant" && typeof thought === "string" && thought !== "")
    return { role, content, reasoning_content: thought };
  return { role: role === "developer" ? "system" : role, content };
}

/** Calls of tools have no text that could stand for them. */
function checkCalls(field: string, given: Readonly<Record<string, unknown>>): void {
  const { tool_calls: calls, function_call: call } = given;
  const none = reading(`${field}.tool_calls`, () => Array.isArray(calls) && calls.length === 0);
  const [name] = [
    ...(isGiven(calls) && !none ? ["tool_calls"] : []),
    ...(isGiven(call) ? ["function_call"] : []),
  ];
  if (name === undefined) return;
  throw invalidArgument(
    `${field}.${name}`,
    "tools are not supported yet",
    "Leave the message out, or write what was called into its content.",
  );
}

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
