import { invalidArgument } from "../../errors.ts";
import type { MessageCall } from "../../text/types.ts";
import {
  checkBoolean,
  checkOneOf,
  checkString,
  describe,
  isGiven,
  plainData,
  readFields,
  reading,
  splitFields,
} from "./check.ts";
import type { CheckCalls } from "./validate-messages.ts";

/** A tool as chat templates take it. */
export interface TemplateTool {
  readonly type: "function";
  readonly function: {
    readonly name: string;
    readonly description: string;
    /** JSON schema of the arguments. */
    readonly parameters: unknown;
  };
}

/** Tools of a request, and which of them an answer may or must call. */
export interface CheckedTools {
  readonly list: readonly TemplateTool[];
  /** Where the schema of each tool stands in the request. */
  readonly fields: readonly string[];
  readonly mode: "none" | "auto" | "required";
  /** Names of those that may be called. */
  readonly names: readonly string[];
  /** Whether an answer may have several calls. */
  readonly parallel: boolean;
}

const MOST_TOOLS = 128;
const NAME = /^[A-Za-z0-9_.-]{1,128}$/;
const NO_ARGUMENTS = { type: "object", properties: {} };

/** Throws invalid_argument naming the field; undefined where there are no tools. */
export function checkTools(given: Readonly<Record<string, unknown>>): CheckedTools | undefined {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = given;
  const none = reading("tools", () => Array.isArray(tools) && tools.length === 0);
  if (!isGiven(tools) || none) return undefined;
  const read = reading("tools", () => {
    if (!Array.isArray(tools))
      throw invalidArgument("tools", `must be an array, not ${describe(tools)}`);
    if (tools.length > MOST_TOOLS)
      throw invalidArgument("tools", `at most ${MOST_TOOLS} tools, not ${tools.length}`);
    return Array.from(tools, (tool, i) => checkTool(`tools[${i}]`, tool));
  });
  const names = read.map(({ tool }) => tool.function.name);
  const twice = names.findIndex((name, i) => names.indexOf(name) < i);
  if (twice >= 0)
    throw invalidArgument(
      read[twice]!.nameField,
      `tools[${names.indexOf(names[twice]!)}] is called ${JSON.stringify(names[twice])} too`,
      "Give each tool a name of its own.",
    );
  return {
    list: read.map(({ tool }) => tool),
    fields: read.map(({ field }) => field),
    ...checkChoice(choice, names),
    parallel: isGiven(parallel) ? checkBoolean("parallel_tool_calls", parallel) : true,
  };
}

interface ReadTool {
  readonly tool: TemplateTool;
  readonly nameField: string;
  /** Of the schema. */
  readonly field: string;
}

/** A tool in OpenAI's shape, or in that of WebMCP, whose `execute` stays with the page. */
function checkTool(at: string, value: unknown): ReadTool {
  const { fields, others } = splitFields(at, value, ["type", "function", "custom"]);
  const known = ["name", "description", "parameters", "strict"];
  if (fields.function === undefined && fields.custom === undefined && "inputSchema" in others) {
    const { name, description, inputSchema } = others;
    return toolOf(at, { name, description, parameters: inputSchema }, "inputSchema");
  }
  if (fields.type !== "function" || fields.function === undefined)
    throw invalidArgument(
      fields.type === "function" ? `${at}.function` : `${at}.type`,
      fields.type === "function"
        ? "is missing"
        : `must be "function", not ${describe(fields.type)}`,
      'For example { type: "function", function: { name: "now", parameters: { type: "object" } } }, or a tool of WebMCP.',
    );
  const [other] = Object.keys(others);
  if (other !== undefined)
    throw invalidArgument(`${at}.${other}`, "unknown field", "Leave it out.");
  const given = readFields(`${at}.function`, fields.function, known);
  if (given.strict !== undefined) checkBoolean(`${at}.function.strict`, given.strict);
  return toolOf(`${at}.function`, given, "parameters");
}

function toolOf(at: string, given: Record<string, unknown>, schema: string): ReadTool {
  const { name, description = "", parameters = NO_ARGUMENTS } = given;
  if (typeof name !== "string" || !NAME.test(name))
    throw invalidArgument(
      `${at}.name`,
      `must be 1 to 128 letters, digits, "_", "-" and ".", not ${describe(name)}`,
    );
  if (typeof description !== "string")
    throw invalidArgument(`${at}.description`, `must be a string, not ${describe(description)}`);
  const field = `${at}.${schema}`;
  if (typeof parameters !== "object" || Array.isArray(parameters))
    throw invalidArgument(field, `must be a JSON schema of an object, not ${describe(parameters)}`);
  const plain = plainData(field, parameters);
  const tool = { type: "function", function: { name, description, parameters: plain } } as const;
  return { tool, nameField: `${at}.name`, field };
}

const MODES = ["none", "auto", "required"] as const;

function checkChoice(
  value: unknown,
  names: readonly string[],
): Pick<CheckedTools, "mode" | "names"> {
  const field = "tool_choice";
  if (!isGiven(value)) return { mode: "auto", names };
  if (typeof value === "string") return { mode: checkOneOf(field, value, MODES), names };
  const given = readFields(field, value, ["type", "function", "allowed_tools"]);
  const type = checkOneOf(`${field}.type`, given.type, ["function", "allowed_tools"]);
  if (type === "function") return { mode: "required", names: [checkNamed(field, given, names)] };
  const at = `${field}.allowed_tools`;
  const { mode, tools } = readFields(at, given.allowed_tools, ["mode", "tools"]);
  if (!Array.isArray(tools) || tools.length === 0)
    throw invalidArgument(`${at}.tools`, `must be an array of tools, not ${describe(tools)}`);
  return {
    mode: checkOneOf(`${at}.mode`, mode, ["auto", "required"]),
    names: tools.map((tool, i) => {
      const one = `${at}.tools[${i}]`;
      return checkNamed(one, readFields(one, tool, ["type", "function"]), names);
    }),
  };
}

function checkNamed(
  field: string,
  given: Readonly<Record<string, unknown>>,
  names: readonly string[],
): string {
  const at = `${field}.function`;
  const name = checkString(`${at}.name`, readFields(at, given.function, ["name"]).name);
  if (names.includes(name)) return name;
  throw invalidArgument(
    `${at}.name`,
    `no tool is called ${describe(name)}; the request has ${names.join(", ")}`,
  );
}

/** Checks what messages say of calls, one after the other. */
export function callChecks(): CheckCalls {
  /** Names of what was called, by the calls' ids. */
  const called = new Map<string, string>();
  return (field, role, given) => {
    const { tool_calls: calls, function_call: call, tool_call_id: id } = given;
    if (isGiven(call))
      throw invalidArgument(
        `${field}.function_call`,
        "functions are not supported",
        "Write it as tool_calls, with an id.",
      );
    if (role === "assistant" && isGiven(calls)) {
      const checked = checkCalls(`${field}.tool_calls`, calls);
      for (const { id, function: what } of checked) called.set(id, what.name);
      return checked.length > 0 ? { tool_calls: checked } : {};
    }
    if (role !== "tool" || !isGiven(id)) return {};
    const answered = checkString(`${field}.tool_call_id`, id);
    const name = called.get(answered);
    if (name !== undefined) return { tool_call_id: answered, name };
    throw invalidArgument(
      `${field}.tool_call_id`,
      `${describe(answered)} is the id of no call in the messages before it`,
      called.size > 0
        ? `Calls are ${[...called.keys()].slice(-5).join(", ")}.`
        : "Keep the assistant's message with its tool_calls in front of it.",
    );
  };
}

function checkCalls(field: string, value: unknown): MessageCall[] {
  return reading(field, () => {
    if (!Array.isArray(value))
      throw invalidArgument(field, `must be an array, not ${describe(value)}`);
    return Array.from(value, (call, i) => checkCall(`${field}[${i}]`, call));
  });
}

/** A call of anyone's answer: what else its maker said is passed over. */
function checkCall(field: string, value: unknown): MessageCall {
  const { fields } = splitFields(field, value, ["id", "type", "function"]);
  if (fields.type !== undefined) checkOneOf(`${field}.type`, fields.type, ["function"]);
  const at = `${field}.function`;
  const { fields: given } = splitFields(at, fields.function, ["name", "arguments"]);
  return {
    id: checkString(`${field}.id`, fields.id),
    type: "function",
    function: {
      name: checkString(`${at}.name`, given.name),
      arguments: checkArguments(`${at}.arguments`, given.arguments ?? ""),
    },
  };
}

function checkArguments(field: string, value: unknown): Record<string, unknown> {
  let found = value;
  try {
    if (typeof value === "string") found = value.trim() === "" ? {} : JSON.parse(value);
  } catch {
    found = undefined;
  }
  if (typeof found === "object" && found !== null && !Array.isArray(found))
    return plainData(field, found) as Record<string, unknown>;
  throw invalidArgument(
    field,
    `must be JSON of an object, not ${describe(value)}`,
    "Leave out a call that was cut short (finish_reason length).",
  );
}
