import { type CallSyntax, PLAIN, SYNTAXES } from "../../../constraint/calls/syntaxes.ts";
import type { ChatMessage, ChatTemplate, MessageCall, Tokenizer } from "../../../text/types.ts";

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
const TOOLS = variablesOf([
  {
    type: "function",
    function: {
      name: TOOL,
      description: TOOL,
      parameters: { type: "object", properties: { [ARGUMENT]: { type: "string" } } },
    },
  },
]);
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
      return template.render(messages, { variables: TOOLS });
    } catch {
      return "";
    }
  };
  const told = render([USER]);
  if (!told.includes(TOOL)) return NOTHING;
  const history = render(HISTORY);
  const syntax =
    SYNTAXES.find(({ signs }) => signs.some((sign) => (told + history).includes(sign))) ??
    SYNTAXES.find(({ trigger }) => trigger !== undefined && isToken(tokenizer, trigger));
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
