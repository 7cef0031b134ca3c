import { PLAIN, spellCalls } from "../../../constraint/calls/syntaxes.ts";
import type { ChatMessage } from "../../../text/types.ts";
import type { TemplateTool } from "../../checks/validate-tools.ts";
import { type CallFamily, variablesOf, withToolsOfSystem } from "./call-family.ts";

/** A chat as the model's template can show it: what it has no words for stands in the messages' texts. */
export interface ShownChat {
  readonly messages: readonly ChatMessage[];
  /** For the template. */
  readonly variables: Readonly<Record<string, unknown>>;
}

export function showTools(
  family: CallFamily,
  messages: readonly ChatMessage[],
  tools: readonly TemplateTool[],
): ShownChat {
  let shown = family.calls
    ? messages
    : messages.map((message) => withCallsSpelled(message, family));
  if (family.syntax.results) shown = withResponses(shown);
  else if (!family.results) shown = withResultsSaid(shown);
  if (tools.length === 0) return { messages: shown, variables: {} };
  if (family.syntax.told === "system")
    return { messages: withToolsOfSystem(shown, tools), variables: {} };
  if (family.tools) return { messages: shown, variables: variablesOf(tools) };
  return { messages: withToolsTold(shown, tools), variables: {} };
}

function withCallsSpelled(message: ChatMessage, { syntax }: CallFamily): ChatMessage {
  const { tool_calls: calls, content, ...rest } = message;
  if (!calls) return message;
  const spelled = spellCalls(
    syntax,
    calls.map((call) => call.function),
  );
  return { ...rest, content: content === "" ? spelled : `${content}\n${spelled}` };
}

/** Results behind the calls of the message that they answer. */
function withResponses(messages: readonly ChatMessage[]): ChatMessage[] {
  const shown: ChatMessage[] = [];
  for (const message of messages) {
    const last = shown.at(-1);
    if (message.role !== "tool" || last?.role !== "assistant" || !last.tool_calls) {
      shown.push(message);
      continue;
    }
    const response = { name: message.name ?? "unknown", response: structureOf(message.content) };
    const before = last.tool_responses ?? [];
    shown[shown.length - 1] = { ...last, tool_responses: [...before, response] };
  }
  return shown;
}

/** What a result says, where it is JSON of an object, else its text. */
function structureOf(content: string): unknown {
  try {
    const value: unknown = JSON.parse(content);
    return typeof value === "object" && !Array.isArray(value) ? (value ?? content) : content;
  } catch {
    return content;
  }
}

/** Without it a small model calls again. */
const ASKED_AGAIN = "Answer my question in plain words.";

/** Results as the user's words; what is said in a row is one message, since some templates want turns. */
function withResultsSaid(messages: readonly ChatMessage[]): ChatMessage[] {
  const shown: ChatMessage[] = [];
  messages.forEach((message, i) => {
    const { role, name, content } = message;
    const told = messages[i - 1]?.role === "tool";
    if (role !== "tool" && !(told && role === "user")) {
      shown.push(message);
      return;
    }
    const result = `Result${name === undefined ? "" : ` of ${name}`}: ${content}`;
    const next = messages[i + 1]?.role;
    const parts = role === "user" ? [content] : [result];
    if (role === "tool" && next !== "tool" && next !== "user") parts.push(ASKED_AGAIN);
    const last = shown.at(-1);
    if (last?.role === "user") parts.unshift(shown.pop()!.content);
    shown.push({ role: "user", content: parts.join("\n\n") });
  });
  return shown;
}

/** The tools in the system message. */
function withToolsTold(
  [first, ...rest]: readonly ChatMessage[],
  tools: readonly TemplateTool[],
): ChatMessage[] {
  const lines = tools.map((tool) => JSON.stringify(tool.function));
  const call = spellCalls(PLAIN, [{ name: "NAME", arguments: { ARGUMENT: "VALUE" } }]);
  const told = [
    "You can call these functions:",
    ...lines,
    `To call one, answer with JSON alone, in this form: ${call}`,
    "What it gives comes in the next message. Where no function helps, answer in plain words.",
  ].join("\n");
  if (first?.role !== "system")
    return [{ role: "system", content: told }, ...(first ? [first] : []), ...rest];
  return [{ role: "system", content: `${first.content}\n\n${told}` }, ...rest];
}
