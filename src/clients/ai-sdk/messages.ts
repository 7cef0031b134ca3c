import type { ChatMessage, ChatMessageCall } from "../../api/types.ts";
import { invalidArgument } from "../../errors.ts";
import type { Prompt, PromptMessage, Warning } from "./spec.ts";

type UserPart = Extract<PromptMessage, { role: "user" }>["content"][number];
type AssistantPart = Extract<PromptMessage, { role: "assistant" }>["content"][number];
type ToolPart = Extract<PromptMessage, { role: "tool" }>["content"][number];
type ToolOutput = Extract<ToolPart, { type: "tool-result" }>["output"];

/**
 * The prompt as OpenAI's messages. What a model cannot be told of its own answers is left out with a warning; what it
 * cannot see of a user's message is an error.
 * @throws WinnowError `invalid_argument` for images, audio and files that are no text.
 */
export function messagesOf(prompt: Prompt, warnings: Warning[]): ChatMessage[] {
  return prompt.flatMap((message, i) => openAiMessages(message, `prompt[${i}].content`, warnings));
}

function openAiMessages(message: PromptMessage, at: string, warnings: Warning[]): ChatMessage[] {
  switch (message.role) {
    case "system":
      return [{ role: "system", content: message.content }];
    case "user":
      return [
        { role: "user", content: message.content.map((part, j) => textPart(part, `${at}[${j}]`)) },
      ];
    case "assistant":
      return [assistantMessage(message.content, warnings)];
    case "tool":
      return message.content.flatMap((part) => toolMessage(part, warnings));
  }
}

function textPart(part: UserPart, at: string): { type: "text"; text: string } {
  if (part.type === "text") return { type: "text", text: part.text };
  return { type: "text", text: textOfFile(part, at) };
}

/** Files of text are read, whatever they are called. */
function textOfFile({ data, mediaType }: Extract<UserPart, { type: "file" }>, at: string): string {
  if (data.type === "text") return data.text;
  if (data.type === "data" && /^text(\/|$)|[/+]json$|[/+]xml$/.test(mediaType)) {
    const bytes = typeof data.data === "string" ? bytesOf(data.data) : data.data;
    return new TextDecoder().decode(bytes);
  }
  throw invalidArgument(
    at,
    `a file of the kind ${mediaType} cannot be read: the model reads text alone`,
    "Leave the file out, or send its text.",
  );
}

const bytesOf = (base64: string): Uint8Array =>
  Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

function assistantMessage(parts: readonly AssistantPart[], warnings: Warning[]): ChatMessage {
  const message = {
    role: "assistant" as const,
    content: "",
    reasoning_content: "",
    tool_calls: [] as ChatMessageCall[],
  };
  for (const part of parts) {
    if (part.type === "text") message.content += part.text;
    else if (part.type === "reasoning") message.reasoning_content += part.text;
    else if (part.type === "tool-call")
      message.tool_calls.push({
        id: part.toolCallId,
        type: "function",
        function: { name: part.toolName, arguments: JSON.stringify(part.input ?? {}) },
      });
    else leftOut(`${part.type} parts in an assistant's message`, warnings);
  }
  const { reasoning_content, tool_calls, ...rest } = message;
  return {
    ...rest,
    ...(reasoning_content === "" ? {} : { reasoning_content }),
    ...(tool_calls.length === 0 ? {} : { tool_calls }),
  };
}

function toolMessage(part: ToolPart, warnings: Warning[]): ChatMessage[] {
  if (part.type !== "tool-result") {
    leftOut(`${part.type} parts`, warnings);
    return [];
  }
  const { toolCallId, toolName, output } = part;
  return [
    {
      role: "tool",
      tool_call_id: toolCallId,
      name: toolName,
      content: textOfOutput(output, warnings),
    },
  ];
}

function textOfOutput(output: ToolOutput, warnings: Warning[]): string {
  switch (output.type) {
    case "text":
    case "error-text":
      return output.value;
    case "json":
    case "error-json":
      return JSON.stringify(output.value);
    case "execution-denied":
      return output.reason ?? "The user did not allow this call.";
    case "content":
      return output.value
        .map((part) => {
          if (part.type === "text") return part.text;
          if (part.type === "file" && part.data.type === "text") return part.data.text;
          leftOut(`${part.type} parts in a tool's result`, warnings);
          return "";
        })
        .join("");
  }
}

function leftOut(feature: string, warnings: Warning[]): void {
  if (warnings.some((warning) => warning.type === "unsupported" && warning.feature === feature))
    return;
  warnings.push({ type: "unsupported", feature, details: "They were left out of the prompt." });
}
