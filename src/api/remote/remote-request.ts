import { invalidArgument } from "../../errors.ts";
import { describe, isGiven, splitFields } from "../checks/check.ts";
import type { ChatCompletionRequest, TextCompletionRequest } from "../types.ts";

/** Kinds of formats that OpenAI's API has. */
const FORMATS = ["text", "json_object", "json_schema"];

/**
 * A request as a server takes it: its own name of the model, without what is this engine's alone and changes no answer. Throws
 * invalid_argument for what no server knows; all else is the server's to check.
 */
export function remoteRequest(
  request: ChatCompletionRequest | TextCompletionRequest,
  model: string,
): Record<string, unknown> & { stream: boolean } {
  const { fields, others } = splitFields("request", request, ["speculative", "stream"], "");
  const { response_format: format, tools, stream_options: streaming } = others;
  const type = (format as { type?: unknown } | undefined)?.type;
  if (isGiven(format) && !FORMATS.includes(type as string))
    throw invalidArgument(
      "response_format",
      `the type ${describe(type)} is followed on the device alone, and this request goes to a server`,
      'Ask by a schema, or with the mode "only-on-device".',
    );
  const stream = fields.stream === true;
  return {
    ...others,
    ...(Array.isArray(tools) && { tools: tools.map(asOpenAi) }),
    model,
    stream,
    ...(stream && { stream_options: { include_usage: true, ...(streaming as object) } }),
  };
}

/** A tool of WebMCP ({ name, description, inputSchema, execute }) in OpenAI's shape. */
function asOpenAi(tool: unknown): unknown {
  const { type, name, description, inputSchema } = (tool ?? {}) as Record<string, unknown>;
  if (type !== undefined || name === undefined) return tool;
  return { type: "function", function: { name, description, parameters: inputSchema } };
}
