/** A file server for tests, on a port of its own, that can misbehave in every way a real one does. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface Behaviour {
  body: Uint8Array;
  /** Default '"v1"'; null for none. */
  etag: string | null;
  ranges: boolean;
  contentType: string;
  /** Statuses to answer the next requests with, instead of the file. */
  statuses: number[];
  /** How many bytes each of the next responses carries before its connection breaks. */
  breakAfter: number[];
  /** Responses after which the body never ends: the connection stays open. */
  stallAfter: number | undefined;
}

export interface TestServer extends Behaviour {
  readonly url: string;
  /** Range headers of the requests so far, "" for none. */
  readonly requests: string[];
  close(): Promise<void>;
}

export async function startServer(body: Uint8Array): Promise<TestServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.headers.range ?? "");
    answer(state, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const state: TestServer = {
    body,
    etag: '"v1"',
    ranges: true,
    contentType: "application/octet-stream",
    statuses: [],
    breakAfter: [],
    stallAfter: undefined,
    url: `http://127.0.0.1:${port}/models/test.gguf`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return state;
}

function answer(state: TestServer, request: IncomingMessage, response: ServerResponse): void {
  const status = state.statuses.shift();
  if (status !== undefined) {
    response.writeHead(status).end();
    return;
  }
  const { body, etag } = state;
  const headers: Record<string, string> = { "content-type": state.contentType };
  if (etag !== null) headers.etag = etag;
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const ifRange = request.headers["if-range"];
  const ranged = state.ranges && match !== null && (ifRange === undefined || ifRange === etag);
  const start = ranged ? Number(match[1]) : 0;
  const last = ranged && match[2] ? Number(match[2]) : body.length - 1;
  if (ranged && start >= body.length) {
    response.writeHead(416, { ...headers, "content-range": `bytes */${body.length}` }).end();
    return;
  }
  const part = body.subarray(start, Math.min(last, body.length - 1) + 1);
  headers["content-length"] = String(part.length);
  if (ranged) headers["content-range"] = `bytes ${start}-${start + part.length - 1}/${body.length}`;
  response.writeHead(ranged ? 206 : 200, headers);
  const limit = state.breakAfter.shift();
  if (limit !== undefined && limit < part.length)
    response.write(part.subarray(0, limit), () => setTimeout(() => response.destroy(), 5));
  else if (state.stallAfter !== undefined) response.write(part.subarray(0, state.stallAfter));
  else response.end(part);
}
