import { ToolArguments } from "../../../constraint/calls/arguments.ts";
import { CallReader } from "../../../constraint/calls/call-reader.ts";
import { constrainCalls } from "../../../constraint/calls/constrain-calls.ts";
import type { CallableTool } from "../../../constraint/calls/write-calls.ts";
import type { Constraint } from "../../../constraint/constraint.ts";
import { WinnowError } from "../../../errors.ts";
import type { ChatMessage, MessageCall, Tokenizer } from "../../../text/types.ts";
import type { CheckedRequest } from "../../checks/validate-request.ts";
import type { ToolCallDelta } from "../../types.ts";
import type { ChannelParser } from "../answer/channel-parser.ts";
import type { PromptModel } from "../answering.ts";
import { familyOf } from "./call-family.ts";
import { type ShownChat, showTools } from "./show-tools.ts";

/** How a request with tools is answered. */
export interface CallPlan {
  /** What takes calls out of the answer; undefined where it has none. */
  readonly parser: (() => ChannelParser) | undefined;
  /** What the answer is held to; undefined: what it would be without tools. */
  readonly constraint: (() => Constraint) | undefined;
}

/** Whole calls among the pieces of an answer's, as messages have them: one that was cut short is left out. */
export function wholeCalls(deltas: readonly ToolCallDelta[]): MessageCall[] {
  const calls: { id: string; name: string; json: string }[] = [];
  for (const { index, id = "", function: part } of deltas) {
    calls[index] ??= { id, name: part?.name ?? "", json: "" };
    calls[index].json += part?.arguments ?? "";
  }
  return calls.flatMap(({ id, name, json }): MessageCall[] => {
    try {
      return [{ id, type: "function", function: { name, arguments: JSON.parse(json) } }];
    } catch {
      return [];
    }
  });
}

/** A chat with tools, or with calls in its messages, as the template can show it. */
export const showCalls = (
  { template, tokenizer }: PromptModel,
  { messages, tools }: CheckedRequest,
): ShownChat => showTools(familyOf(template, tokenizer), messages, tools?.list ?? []);

/**
 * Undefined for a request that has calls in its messages alone. Throws invalid_argument, naming the place, for tools whose
 * calls cannot be followed.
 */
export function planCalls(
  { template, tokenizer }: PromptModel,
  { tools, format }: CheckedRequest,
): CallPlan | undefined {
  if (!tools) return undefined;
  const { syntax } = familyOf(template, tokenizer);
  const all = tools.list.map((tool, i): CallableTool => {
    const { name, parameters } = tool.function;
    return { name, parameters, field: tools.fields[i]! };
  });
  // Schemas are refused whatever is to be called.
  const known = new Map(
    all.map(({ name, parameters, field }) => [name, new ToolArguments(parameters, field)]),
  );
  const { mode, parallel, names } = tools;
  const callable = all.filter(({ name }) => names.includes(name));
  const held = constrainCalls(tokenizer, syntax, { mode, tools: callable, parallel }, format);
  const strict = format !== undefined && mode === "auto";
  const isText = (tool: string, key: string): boolean => known.get(tool)?.isText(key) ?? false;
  const reading = { syntax, names, isText, strict, required: mode === "required" };
  return {
    parser: mode === "none" ? undefined : () => new CallReader(reading),
    constraint: mode === "none" && format ? undefined : () => held.fork(),
  };
}

/** An overflow that a tool's result is to blame for, with its name; undefined for any other error. */
export function blameResult(
  error: unknown,
  messages: readonly ChatMessage[],
  { tokenizer }: { readonly tokenizer: Tokenizer },
): WinnowError | undefined {
  if (!(error instanceof WinnowError) || error.code !== "context_overflow") return undefined;
  const { prompt, contextLength } = error.details as { prompt: number; contextLength: number };
  const lengths = messages.map(({ role, content }) =>
    role === "tool" ? tokenizer.encode(content).length : 0,
  );
  const longest = lengths.indexOf(Math.max(...lengths));
  const length = lengths[longest]!;
  if (prompt - length >= contextLength) return undefined;
  return new WinnowError(error.code, `messages[${longest}].content: ${error.message}`, {
    hint: `The tool's result alone is ${length} tokens: cut it, or give the cache a budget, under which a chat has no end.`,
    details: { ...error.details, field: `messages[${longest}].content` },
    cause: error,
  });
}
