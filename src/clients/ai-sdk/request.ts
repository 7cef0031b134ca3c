import type { ChatCompletionRequest } from "../../api/types.ts";
import { defined } from "../../defined.ts";
import { invalidArgument } from "../../errors.ts";
import { messagesOf } from "./messages.ts";
import type { CallOptions, Warning } from "./spec.ts";

/** A call of the AI SDK as a request of the engine. */
export interface ProviderRequest {
  readonly request: ChatCompletionRequest;
  /** The conversation that the caller named. */
  readonly conversation: string | undefined;
  readonly warnings: Warning[];
}

/**
 * Translates a call. `providerOptions.winnow` may name a `conversation`, and whatever else the engine's requests have,
 * by the engine's names (`min_p`, `repetition_penalty`, `response_format` and so on); the call's own settings go before.
 * @throws WinnowError `invalid_argument`.
 */
export function requestOf(options: CallOptions): ProviderRequest {
  const warnings: Warning[] = [];
  const { conversation, ...own } = options.providerOptions?.winnow ?? {};
  if (conversation !== undefined && typeof conversation !== "string")
    throw invalidArgument("providerOptions.winnow.conversation", "must be a string");
  const request = {
    ...own,
    messages: messagesOf(options.prompt, warnings),
    ...defined({
      max_tokens: options.maxOutputTokens,
      temperature: options.temperature,
      top_p: options.topP,
      top_k: options.topK,
      presence_penalty: options.presencePenalty,
      frequency_penalty: options.frequencyPenalty,
      seed: options.seed,
      stop: options.stopSequences,
      response_format: responseFormat(options.responseFormat),
      reasoning_effort: options.reasoning === "provider-default" ? undefined : options.reasoning,
    }),
    ...toolsOf(options, warnings),
  };
  return { request: request as ChatCompletionRequest, conversation, warnings };
}

function responseFormat(
  format: CallOptions["responseFormat"],
): ChatCompletionRequest["response_format"] {
  if (format?.type !== "json") return undefined;
  const { schema, name = "response", description } = format;
  if (schema === undefined) return { type: "json_object" };
  return {
    type: "json_schema",
    json_schema: { name, ...defined({ description }), schema: schema as Record<string, unknown> },
  };
}

function toolsOf({ tools = [], toolChoice }: CallOptions, warnings: Warning[]) {
  const functions = tools.flatMap((tool) => {
    if (tool.type !== "function") {
      warnings.push({ type: "unsupported", feature: `provider-defined tool ${tool.id}` });
      return [];
    }
    const { name, description, inputSchema, strict } = tool;
    if (tool.inputExamples?.length)
      warnings.push({ type: "unsupported", feature: `inputExamples of the tool ${name}` });
    return [
      {
        type: "function",
        function: { name, parameters: inputSchema, ...defined({ description, strict }) },
      },
    ];
  });
  if (functions.length === 0) return {};
  return { tools: functions, ...defined({ tool_choice: toolChoice && choiceOf(toolChoice) }) };
}

const choiceOf = (choice: NonNullable<CallOptions["toolChoice"]>) =>
  choice.type === "tool" ? { type: "function", function: { name: choice.toolName } } : choice.type;
