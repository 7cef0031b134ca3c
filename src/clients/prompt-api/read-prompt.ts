import type { ChatMessage } from "../../api/types.ts";
import { notSupported, syntaxError } from "./errors.ts";

const ROLES = ["system", "user", "assistant"] as const;
const TYPES = ["text", "image", "audio", "tool-call", "tool-response"];

/** A text message of a session. */
export type TextMessage = ChatMessage & { role: (typeof ROLES)[number]; content: string };

/** What was asked, as messages of the engine. */
export interface ReadPrompt {
  readonly messages: readonly TextMessage[];
  /** Whether the answer goes on from the last message. */
  readonly prefix: boolean;
}

/**
 * Converts an input as the browser's bindings do: what is no sequence becomes a string, an empty sequence an empty
 * message. Throws TypeError, and DOMExceptions of the names SyntaxError and NotSupportedError.
 */
export function readPrompt(input: unknown): ReadPrompt {
  if (!isSequence(input)) return { messages: [user(String(input))], prefix: false };
  const given = [...input].map(readMessage);
  for (const [i, { role, prefix }] of given.entries()) {
    if (prefix && role !== "assistant")
      throw syntaxError("Only an assistant's message can be a prefix.");
    if (prefix && i < given.length - 1) throw syntaxError("Only the last message can be a prefix.");
    if (role === "system" && i > 0) throw lateSystemMessage();
  }
  const messages = given.map(({ role, content }) => ({ role, content }));
  return {
    messages: messages.length > 0 ? messages : [user("")],
    prefix: given.at(-1)?.prefix ?? false,
  };
}

export const lateSystemMessage = (): TypeError =>
  new TypeError("A system message must come before all others.");

const user = (content: string): TextMessage => ({ role: "user", content });

const isSequence = (value: unknown): value is Iterable<unknown> =>
  typeof value === "object" && value !== null && Symbol.iterator in value;

function readMessage(value: unknown): TextMessage & { prefix: boolean } {
  if (typeof value !== "object" || value === null)
    throw new TypeError("A message must be an object with a role and a content.");
  const { role, content, prefix } = value as Record<string, unknown>;
  const known = ROLES.find((name) => name === role);
  if (!known) throw new TypeError(`"${String(role)}" is no role of a message.`);
  if (content === undefined) throw new TypeError("A message must have a content.");
  return { role: known, content: readContent(content, known), prefix: Boolean(prefix) };
}

function readContent(content: unknown, role: string): string {
  if (!isSequence(content)) return String(content);
  return [...content].map((part) => readPart(part, role)).join("");
}

function readPart(part: unknown, role: string): string {
  const { type, value } = (part ?? {}) as Record<string, unknown>;
  if (typeof type !== "string" || !TYPES.includes(type))
    throw new TypeError(`"${String(type)}" is no type of a message's content.`);
  if (value === undefined) throw new TypeError("A message's content must have a value.");
  if (type !== "text")
    throw notSupported(`The model does not take content of the type "${type}" from the ${role}.`);
  if (typeof value !== "string") throw new TypeError("The value of a text must be a string.");
  return value;
}
