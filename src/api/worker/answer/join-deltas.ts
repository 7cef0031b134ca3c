import type { AnswerDelta } from "../../protocol.ts";

/** Adds what is new behind what waits: texts of one channel become one. */
export function joinDeltas(waiting: AnswerDelta[], next: readonly AnswerDelta[]): void {
  for (const delta of next) {
    const last = waiting.at(-1);
    const name = last && channelOf(last);
    if (last && name && name === channelOf(delta) && last.index === delta.index)
      last[name] += delta[name]!;
    else waiting.push({ ...delta });
  }
}

/** The one text that it has; undefined where it has other things. */
function channelOf(delta: AnswerDelta): "content" | "reasoning_content" | undefined {
  if (Object.keys(delta).length > 2) return undefined;
  if (delta.content !== undefined) return "content";
  return delta.reasoning_content === undefined ? undefined : "reasoning_content";
}
