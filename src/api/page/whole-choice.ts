import type { AnswerDelta } from "../protocol.ts";
import type { ChatChoice, FinishReason, ToolCall, ToolCallDelta } from "../types.ts";

/** One whole answer: all of its deltas in one message. */
export function wholeChoice(
  index: number,
  deltas: readonly AnswerDelta[],
  finish: FinishReason,
): ChatChoice {
  const own = deltas.filter((delta) => delta.index === index);
  const thoughts = own.map((delta) => delta.reasoning_content ?? "").join("");
  const logprobs = own.flatMap((delta) => delta.logprobs ?? []);
  const calls = wholeCalls(own.flatMap((delta) => delta.tool_calls ?? []));
  return {
    index,
    message: {
      role: "assistant",
      content: own.map(({ content = "" }) => content).join(""),
      refusal: null,
      ...(thoughts === "" ? {} : { reasoning_content: thoughts }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
    },
    finish_reason: finish,
    logprobs: logprobs.length === 0 ? null : { content: logprobs, refusal: null },
  };
}

function wholeCalls(deltas: readonly ToolCallDelta[]): ToolCall[] {
  const calls: ToolCall[] = [];
  for (const { index, id, function: part } of deltas) {
    calls[index] ??= { id: id ?? "", type: "function", function: { name: "", arguments: "" } };
    calls[index].function.name += part?.name ?? "";
    calls[index].function.arguments += part?.arguments ?? "";
  }
  return calls;
}
