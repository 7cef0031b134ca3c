import { connect, type Socket } from "node:net";
import type { ServedEngine } from "../../../src/cli/serve/routes.ts";
import { ModelServer, type ServeOptions } from "../../../src/cli/serve/server.ts";
import { type FakeEngine, openFake } from "../api/api-fake-engine.ts";

export interface Served {
  server: ModelServer;
  fake: FakeEngine;
  /** "http://127.0.0.1:PORT/v1" */
  base: string;
  port: number;
  reports: string[];
  close(): Promise<void>;
}

/** The server over a fake engine, on a port of its own. */
export async function serveFake(
  options: Partial<ServeOptions> = {},
  given?: ServedEngine,
): Promise<Served> {
  const { engine, fake } = await openFake();
  const reports: string[] = [];
  const server = await ModelServer.open(given ?? engine, {
    host: "127.0.0.1",
    port: 0,
    origins: [],
    parallel: 2,
    waiting: 4,
    conversations: 4,
    bodyLimit: 100_000,
    timeoutMs: 60_000,
    stallMs: 30_000,
    report: (line) => void reports.push(line),
    ...options,
  });
  const { port } = new URL(server.url);
  return {
    server,
    fake,
    base: `${server.url}/v1`,
    port: Number(port),
    reports,
    close: async () => {
      await server.stop(0);
      await engine.close();
    },
  };
}

export const user = (content: string) => ({ role: "user", content });
export const HELLO = { messages: [user("hi")] };

export const post = ({ base }: Served, body: unknown, init: RequestInit = {}): Promise<Response> =>
  fetch(`${base}/chat/completions`, {
    method: "POST",
    body: typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body),
    ...init,
  } as RequestInit);

/** What a stream's events say: their data, parsed where it is JSON. */
export async function eventsOf(response: Response): Promise<unknown[]> {
  const text = await response.text();
  return text
    .split("\n\n")
    .filter((event) => event.startsWith("data: "))
    .map((event) => event.slice(6))
    .map((data) => (data === "[DONE]" ? data : JSON.parse(data)));
}

/** A request over a socket of one's own, which can be left unread; headers as lines. */
export async function rawPost(
  { port }: Served,
  body: unknown,
  headers: readonly string[] = [],
): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => {});
  const text = JSON.stringify(body);
  const lines = [
    "POST /v1/chat/completions HTTP/1.1",
    "host: localhost",
    `content-length: ${Buffer.byteLength(text)}`,
    ...headers,
  ];
  socket.write(`${lines.join("\r\n")}\r\n\r\n${text}`);
  return socket;
}

/** Resolves once `holds`. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 2));
}
