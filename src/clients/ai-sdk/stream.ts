import { endingOf } from "./answer.ts";
import type { StreamPart } from "./spec.ts";

/**
 * Parts as the AI SDK takes them. An error is a part, and the end of the answer; an abort's breaks the stream.
 * `failed`: what of an error is said. `left`: the reader wants no more. `over`: nothing more comes, for whatever reason.
 */
export function streamOf(
  parts: AsyncGenerator<StreamPart>,
  { failed, left, over }: { failed(error: unknown): unknown; left(): unknown; over(): void },
): ReadableStream<StreamPart> {
  return new ReadableStream<StreamPart>({
    async pull(controller) {
      try {
        const { done, value } = await parts.next();
        if (!done) return controller.enqueue(value);
        controller.close();
      } catch (thrown) {
        const error = failed(thrown);
        if (error instanceof DOMException) controller.error(error);
        else {
          controller.enqueue({ type: "error", error });
          controller.enqueue({ type: "finish", ...endingOf("error", undefined) });
          controller.close();
        }
      }
      over();
    },
    async cancel() {
      over();
      // Before what waits for the next chunk, which may be long in coming.
      await left();
      await parts.return(undefined);
    },
  });
}
