import { createParser } from "eventsource-parser";
import { WinnowError } from "../../errors.ts";
import type { Piece } from "./begun.ts";
import { type RemoteServer, refusal } from "./remote-server.ts";
import type { RemoteClock } from "./remote-usage.ts";

/** What servers send: a chunk may have all choices, or none and the usage. */
interface Sent {
  choices?: readonly { finish_reason: unknown }[];
  usage?: unknown;
  error?: unknown;
}

/**
 * A server's stream as chunks of one choice each, the usage on the last. Throws network where it breaks off, what the
 * server says in the middle, aborted.
 */
export async function* remoteChunks(
  server: RemoteServer,
  response: Response,
  clock: RemoteClock,
  signal: AbortSignal,
): AsyncGenerator<Piece> {
  let last: Piece | undefined;
  for await (const sent of events(server, response, signal)) {
    const { choices = [], usage, ...header } = sent;
    for (const choice of choices) {
      if (last) yield last;
      last = { ...header, inferenceSource: "in_cloud", choices: [choice] } as unknown as Piece;
      clock.token();
      if (choice.finish_reason) continue;
      yield last;
      last = undefined;
    }
    if (usage && last) last.usage = clock.usage(usage);
  }
  if (last) yield last;
}

/** The data of each event, up to [DONE]. */
async function* events(
  server: RemoteServer,
  response: Response,
  signal: AbortSignal,
): AsyncGenerator<Sent> {
  const waiting: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => void waiting.push(data) });
  const decoder = new TextDecoder();
  const reader = response.body!.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read().catch((cause) => {
        throw server.broken(cause, signal);
      });
      if (done) break;
      parser.feed(decoder.decode(value, { stream: true }));
      for (const data of waiting.splice(0)) {
        if (data === "[DONE]") return;
        yield parse(data);
      }
    }
  } finally {
    // Whoever leaves early has the server stop.
    await reader.cancel().catch(() => {});
  }
  throw new WinnowError("network", "the server's answer broke off");
}

function parse(data: string): Sent {
  let sent: Sent;
  try {
    sent = JSON.parse(data);
  } catch (cause) {
    throw new WinnowError("network", "the server's stream has an event that is no JSON", { cause });
  }
  if (sent.error) throw refusal(data);
  return sent;
}
