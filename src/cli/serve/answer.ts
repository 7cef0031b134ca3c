import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { EventStream } from "./event-stream.ts";
import { httpErrorOf } from "./http-error.ts";

/** What the engine says to a request: chunks, or the whole answer. */
export type Answer = AsyncIterable<unknown> | object;

/**
 * Milliseconds that a stream keeps its status back: what the engine refuses once it has begun, such as a prompt that is too
 * long, then still has a status of its own.
 */
const REFUSAL_MS = 3000;

/** Sends an answer; chunks as server-sent events. Throws what the engine throws. */
export async function sendAnswer(response: ServerResponse, answer: Answer): Promise<void> {
  if (!(Symbol.asyncIterator in answer)) return sendJson(response, 200, answer);
  const chunks = answer[Symbol.asyncIterator]();
  // The first chunk says who speaks, before the engine has begun; the next one, that it goes well.
  const first = await chunks.next();
  let next = chunks.next();
  await Promise.race([next, sleep(REFUSAL_MS, undefined, { ref: false })]);
  const events = new EventStream(response);
  for (let step = first; !step.done; step = await next) {
    if (step !== first) next = chunks.next();
    events.send(step.value);
  }
  events.end();
}

/** Sends an error: with its status where none was sent yet, else as the last event of the stream. */
export function sendError(response: ServerResponse, thrown: unknown): void {
  const { status, body, headers } = httpErrorOf(thrown);
  if (response.destroyed || response.writableEnded) return;
  const error = { error: body };
  if (response.headersSent) return void response.end(`data: ${JSON.stringify(error)}\n\n`);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  sendJson(response, status, error);
}

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  // An error may have been sent meanwhile.
  if (response.writableEnded) return;
  const text = JSON.stringify(value);
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}
