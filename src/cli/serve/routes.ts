import type { IncomingMessage, ServerResponse } from "node:http";
import * as furtherChecks from "../../api/checks/openai-fields.ts";
import { checkCompletion } from "../../api/checks/validate-completion.ts";
import { checkRequest } from "../../api/checks/validate-request.ts";
import type { Engine } from "../../api/types.ts";
import { sendAnswer, sendJson } from "./answer.ts";
import { type History, historyOf } from "./history.ts";
import { HttpError } from "./http-error.ts";
import { readJson } from "./read-json.ts";
import type { Seats } from "./seats.ts";

/** What the server answers from. */
export type ServedEngine = Pick<Engine, "chat" | "completions" | "models" | "info">;

/** What a route works with. */
export interface Call {
  readonly engine: ServedEngine;
  readonly seats: Seats;
  /** Most bytes of a request's body. */
  readonly bodyLimit: number;
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
  { path: /^\/completions$/, method: "POST", run: text },
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

async function text(call: Call): Promise<void> {
  const body = await readJson(call.request, call.bodyLimit);
  checkCompletion(body);
  await complete(call, body, historyOf([body.prompt]), (conversation) =>
    call.engine.completions.create(body as never, { conversation, signal: call.signal }),
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

async function models({ engine, response }: Call): Promise<void> {
  const { object, data } = await engine.models.list();
  sendJson(response, 200, { object, data });
}

async function oneModel({ engine, response }: Call, named: string): Promise<void> {
  const { data } = await engine.models.list();
  const found = data.find(({ id }) => id === named);
  if (!found) throw noModel(named, engine.info().model.name);
  sendJson(response, 200, found);
}

function health({ engine, seats, response }: Call): void {
  sendJson(response, 200, { status: "ok", model: engine.info().model.name, ...seats.counts });
}
