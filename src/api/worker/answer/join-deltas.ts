import type { AnswerDelta } from "../../protocol.ts";
import type { ToolCallDelta } from "../../types.ts";

/** Adds what is new behind what waits: pieces of one channel become one. */
export function joinDeltas(waiting: AnswerDelta[], next: readonly AnswerDelta[]): void {
  for (const delta of next) {
    const last = waiting.at(-1);
    if (last && sameChannel(last, delta)) join(last, delta);
    else waiting.push({ ...delta });
  }
}

const TEXTS = ["content", "reasoning_content"] as const;

const sameChannel = (a: AnswerDelta, b: AnswerDelta): boolean =>
  a.index === b.index &&
  ([...TEXTS, "tool_calls"] as const).every(
    (name) => (a[name] === undefined) === (b[name] === undefined),
  );

function join(to: AnswerDelta, from: AnswerDelta): void {
  for (const name of TEXTS) if (from[name] !== undefined) to[name] = to[name]! + from[name];
  if (from.tool_calls) to.tool_calls = joinCalls(to.tool_calls!, from.tool_calls);
}

function joinCalls(
  calls: readonly ToolCallDelta[],
  next: readonly ToolCallDelta[],
): ToolCallDelta[] {
  const joined = [...calls];
  for (const call of next) {
    const last = joined.at(-1);
    if (!last || last.index !== call.index || call.id !== undefined) {
      joined.push(call);
      continue;
    }
    const written = (last.function?.arguments ?? "") + (call.function?.arguments ?? "");
    joined[joined.length - 1] = {
      ...last,
      function: { ...last.function, ...call.function, arguments: written },
    };
  }
  return joined;
}
