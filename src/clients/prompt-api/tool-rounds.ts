import type { ChatCompletionChunk, ChatMessage, FinishReason, ToolCall } from "../../api/types.ts";
import type { PromptTool } from "./types.ts";

/** A streamed answer, put together: its text, the tools that it calls, and why it ended. */
export async function readAnswer(
  chunks: AsyncIterable<ChatCompletionChunk>,
  onText: ((text: string) => void) | undefined,
): Promise<{ content: string; calls: ToolCall[]; finish: FinishReason | null }> {
  const calls: ToolCall[] = [];
  let content = "";
  let finish: FinishReason | null = null;
  for await (const { choices } of chunks) {
    const [{ delta, finish_reason }] = choices;
    finish = finish_reason ?? finish;
    if (delta.content) {
      content += delta.content;
      onText?.(delta.content);
    }
    for (const { index, id, function: called } of delta.tool_calls ?? []) {
      if (id !== undefined)
        calls[index] = {
          id,
          type: "function",
          function: { name: called?.name ?? "", arguments: "" },
        };
      calls[index]!.function.arguments += called?.arguments ?? "";
    }
  }
  return { content, calls, finish };
}

/** The message that answers a call. What the tool throws is thrown. */
export async function runTool(
  tools: readonly PromptTool[],
  { id, function: { name, arguments: input } }: ToolCall,
): Promise<ChatMessage> {
  const tool = tools.find((one) => one.name === name);
  if (!tool)
    throw new DOMException(`The model called "${name}", which is no tool.`, "UnknownError");
  const content = String(await tool.execute(JSON.parse(input || "{}") as never));
  return { role: "tool", tool_call_id: id, name, content };
}
