import type { ChatCompletion, ChatCompletionChunk } from "../types.ts";

/** An answer, whole or in chunks. */
export type Answered = ChatCompletion | AsyncIterable<ChatCompletionChunk>;

/**
 * A stream once so many of its chunks are there, so that what fails before them fails here, and somebody else may be asked.
 * Whoever leaves the loop ends the stream; `over` is called when it has ended, however it did.
 */
export async function begun(
  chunks: AsyncIterable<ChatCompletionChunk>,
  count: number,
  over: () => void = () => {},
): Promise<AsyncIterable<ChatCompletionChunk>> {
  const iterator = chunks[Symbol.asyncIterator]();
  const first: ChatCompletionChunk[] = [];
  try {
    while (first.length < count) {
      const { done, value } = await iterator.next();
      if (done) break;
      first.push(value);
    }
  } catch (error) {
    over();
    throw error;
  }
  let left = false;
  const leave = async (): Promise<IteratorResult<ChatCompletionChunk>> => {
    if (!left) over();
    left = true;
    await iterator.return?.();
    return { done: true, value: undefined };
  };
  return {
    [Symbol.asyncIterator]: () => ({
      async next() {
        const value = first.shift();
        if (value) return { done: false, value };
        try {
          const step = await iterator.next();
          if (step.done) over();
          return step;
        } catch (error) {
          over();
          throw error;
        }
      },
      return: leave,
    }),
  };
}
