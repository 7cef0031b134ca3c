import { checkRequestOptions } from "../checks/validate-request.ts";
import type { ChatCompletion, RequestOptions } from "../types.ts";
import { type Answered, type Asked, begun } from "./begun.ts";
import { remoteChunks } from "./remote-chunks.ts";
import { remoteRequest } from "./remote-request.ts";
import type { RemoteServer } from "./remote-server.ts";
import { RemoteClock } from "./remote-usage.ts";

/** Has a server answer. Throws WinnowError where it cannot begin to; `closed`: the engine is. */
export async function askServer(
  server: RemoteServer,
  asked: Asked,
  options: RequestOptions | undefined,
  closed: AbortSignal,
): Promise<Answered> {
  const { signal: given } = checkRequestOptions(options);
  const body = remoteRequest(asked.request, server.model);
  const { signal, unlink } = either(given, closed);
  const clock = new RemoteClock();
  const path = asked.kind === "chat" ? "/chat/completions" : "/completions";
  try {
    if (body.stream) {
      const response = await server.ask(path, signal, body);
      return await begun(remoteChunks(server, response, clock, signal), 1, unlink);
    }
    const answer = (await server.json(path, signal, body)) as ChatCompletion;
    clock.token();
    unlink();
    return { ...answer, inferenceSource: "in_cloud", usage: clock.usage(answer.usage) };
  } catch (error) {
    unlink();
    throw error;
  }
}

/** A signal that fires with either of two. */
function either(
  one: AbortSignal | undefined,
  other: AbortSignal,
): { signal: AbortSignal; unlink: () => void } {
  const control = new AbortController();
  const both = [...(one ? [one] : []), other];
  const fire = (): void => control.abort();
  for (const signal of both) {
    if (signal.aborted) fire();
    signal.addEventListener("abort", fire, { once: true });
  }
  const unlink = (): void => {
    for (const signal of both) signal.removeEventListener("abort", fire);
  };
  return { signal: control.signal, unlink };
}
