import { type CallSyntax, PLAIN, SYNTAXES } from "../../../constraint/calls/syntaxes.ts";
import { DUMPED, written } from "../../../constraint/json/notation.ts";
import type { ChatMessage, ChatTemplate, MessageCall, Tokenizer } from "../../../text/types.ts";
import type { TemplateTool } from "../../checks/validate-tools.ts";

/** How a model's template deals with tools, and how the model calls them. */
export interface CallFamily {
  readonly syntax: CallSyntax;
  /** The template shows tools, calls of earlier answers, and results as messages of the role "tool". */
  readonly tools: boolean;
  readonly calls: boolean;
  readonly results: boolean;
}

const NOTHING: CallFamily = { syntax: PLAIN, tools: false, calls: false, results: false };

/** Names that no template has. */
const [TOOL, CALLED, ARGUMENT, RESULT] = [
  "probe_tool",
  "probe_call",
  "probe_value",
  "probe_result",
];
const TOOLS: readonly TemplateTool[] = [
  {
    type: "function",
    function: {
      name: TOOL,
      description: TOOL,
      parameters: { type: "object", properties: { [ARGUMENT]: { type: "string" } } },
    },
  },
];
const USER: ChatMessage = { role: "user", content: "Hello" };
const CALL: MessageCall = {
  id: "000000000",
  type: "function",
  function: { name: CALLED, arguments: { value: ARGUMENT } },
};
const HISTORY: readonly ChatMessage[] = [
  USER,
  { role: "assistant", content: "", tool_calls: [CALL] },
  { role: "tool", content: RESULT, tool_call_id: CALL.id, name: CALLED },
];

/** Tools as a template's variables; SmolLM3's has a name of its own for them. */
export function variablesOf(tools: unknown): Readonly<Record<string, unknown>> {
  return { tools, xml_tools: tools };
}

/** The first message is one of the system that has the tools. */
export function withToolsOfSystem(
  [first, ...rest]: readonly ChatMessage[],
  tools: readonly TemplateTool[],
): ChatMessage[] {
  const list = written(
    tools.map((tool) => tool.function),
    DUMPED,
  );
  const system: ChatMessage =
    first?.role === "system"
      ? first
      : { role: "system", content: "You are a helpful assistant with some tools." };
  const others = first && first !== system ? [first, ...rest] : rest;
  return [{ ...system, tools: list! }, ...others];
}

const families = new WeakMap<ChatTemplate, CallFamily>();

/** Looks at what the template makes of a tool, a call and a result. */
export function familyOf(template: ChatTemplate, tokenizer: Tokenizer): CallFamily {
  const known = families.get(template) ?? lookAt(template, tokenizer);
  families.set(template, known);
  return known;
}

function lookAt(template: ChatTemplate, tokenizer: Tokenizer): CallFamily {
  const render = (messages: readonly ChatMessage[]): string => {
    try {
      return template.render(messages, { variables: variablesOf(TOOLS) });
    } catch {
      return "";
    }
  };
  const usual = render([USER]);
  const knows = usual.includes(TOOL);
  const told = knows ? usual : render(withToolsOfSystem([USER], TOOLS));
  if (!told.includes(TOOL)) return NOTHING;
  const history = render(HISTORY);
  const syntaxes = SYNTAXES.filter((syntax) => (syntax.told === undefined) === knows);
  const syntax =
    syntaxes.find(({ signs }) => signs.some((sign) => (told + history).includes(sign))) ??
    syntaxes.find(({ trigger }) => trigger !== undefined && isToken(tokenizer, trigger));
  if (!syntax) return NOTHING;
  return {
    syntax,
    tools: true,
    calls: history.includes(CALLED) && history.includes(ARGUMENT),
    results: history.includes(RESULT),
  };
}

const isToken = (tokenizer: Tokenizer, spelling: string): boolean =>
  tokenizer.encode(spelling, { special: true }).length === 1;
