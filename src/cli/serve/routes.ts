import type { IncomingMessage, ServerResponse } from "node:http";
import * as furtherChecks from "../../api/checks/openai-fields.ts";
import { checkRequest } from "../../api/checks/validate-request.ts";
import type { Engine } from "../../api/types.ts";
import { sendAnswer, sendJson } from "./answer.ts";
import { type History, historyOf } from "./history.ts";
import { HttpError } from "./http-error.ts";
import { readJson } from "./read-json.ts";
import type { Seats } from "./seats.ts";

/** What the server answers from. */
export type ServedEngine = Pick<Engine, "chat" | "info">;

/** What a route works with. */
export interface Call {
  readonly engine: ServedEngine;
  readonly seats: Seats;
  /** Most bytes of a request's body. */
  readonly bodyLimit: number;
  /** Seconds since 1970 at which the server began. */
  readonly since: number;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Fires when nobody waits for the answer any more, or it may take no longer. */
  readonly signal: AbortSignal;
}

/** `named`: what the path names. */
type Route = (call: Call, named: string) => Promise<void> | void;

const ROUTES: readonly {
  readonly path: RegExp;
  readonly method: "GET" | "POST";
  readonly run: Route;
}[] = [
  { path: /^\/chat\/completions$/, method: "POST", run: chat },
  { path: /^\/models$/, method: "GET", run: models },
  { path: /^\/models\/(.+)$/, method: "GET", run: oneModel },
  { path: /^\/health$/, method: "GET", run: health },
];

/** Answers a request that was let in. Throws HttpError, and what the engine throws. */
export async function route(call: Call): Promise<void> {
  const { method, url } = call.request;
  const path = pathOf(url);
  const found = ROUTES.find((one) => one.path.test(path));
  if (!found) throw new HttpError(404, `there is nothing at ${path}`, { code: "not_found" });
  if (method !== found.method && !(method === "HEAD" && found.method === "GET"))
    throw new HttpError(405, `${path} takes ${found.method}, not ${method}`, {
      headers: { allow: found.method },
    });
  await found.run(call, found.path.exec(path)![1] ?? "");
}

/** The path, with or without the version in front: addresses of servers are written either way. */
function pathOf(url = "/"): string {
  try {
    return decodeURIComponent(new URL(url, "http://localhost").pathname).replace(/^\/v1(?=\/)/, "");
  } catch {
    throw new HttpError(400, "the request's address is none");
  }
}

async function chat(call: Call): Promise<void> {
  const body = await readJson(call.request, call.bodyLimit);
  // What is wrong is said at once, not when the request's turn comes.
  const { messages } = checkRequest(body, furtherChecks);
  await complete(call, body, historyOf(messages), (conversation) =>
    call.engine.chat.completions.create(body as never, { conversation, signal: call.signal }),
  );
}

async function complete(
  { engine, seats, response, signal }: Call,
  { model }: Record<string, unknown>,
  history: History,
  ask: (conversation: string) => Promise<object>,
): Promise<void> {
  const { name } = engine.info().model;
  if (model !== undefined && model !== null && model !== name) throw noModel(String(model), name);
  const seat = await seats.take(history, signal);
  try {
    await sendAnswer(response, await ask(seat.conversation));
  } finally {
    seat.leave();
  }
}

const noModel = (asked: string, there: string): HttpError =>
  new HttpError(404, `the model ${JSON.stringify(asked)} is not here; there is "${there}"`, {
    code: "model_not_found",
    param: "model",
  });

const modelOf = ({ engine, since }: Call): object => ({
  id: engine.info().model.name,
  object: "model",
  created: since,
  owned_by: "winnow",
});

function models(call: Call): void {
  sendJson(call.response, 200, { object: "list", data: [modelOf(call)] });
}

function oneModel(call: Call, named: string): void {
  const { name } = call.engine.info().model;
  if (named !== name) throw noModel(named, name);
  sendJson(call.response, 200, modelOf(call));
}

function health({ engine, seats, response }: Call): void {
  sendJson(response, 200, { status: "ok", model: engine.info().model.name, ...seats.counts });
}
