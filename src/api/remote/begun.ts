import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  TextCompletion,
  TextCompletionRequest,
} from "../types.ts";

/** What is asked: to go on with a chat, or with a text. */
export type Asked =
  | { readonly kind: "chat"; readonly request: ChatCompletionRequest }
  | { readonly kind: "text"; readonly request: TextCompletionRequest };

/** A piece of an answer. */
export type Piece = ChatCompletionChunk | TextCompletion;

/** An answer, whole or in pieces. */
export type Answered = ChatCompletion | TextCompletion | AsyncIterable<Piece>;

/**
 * A stream once so many of its pieces are there, so that what fails before them fails here, and somebody else may be asked.
 * Whoever leaves the loop ends the stream; `over` is called when it has ended, however it did.
 */
export async function begun(
  pieces: AsyncIterable<Piece>,
  count: number,
  over: () => void = () => {},
): Promise<AsyncIterable<Piece>> {
  const iterator = pieces[Symbol.asyncIterator]();
  const first: Piece[] = [];
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
  const leave = async (): Promise<IteratorResult<Piece>> => {
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
