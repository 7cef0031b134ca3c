import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
};

/** A page without a bundler: the package as it is built, under `winnow` of its window. */
const PACKAGE_PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Winnow</title>
<script type="module">import * as winnow from "./dist/index.js"; Object.assign(window, { winnow });</script>`;

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export interface Site {
  readonly url: string;
  /** Answers of a test's own, by path. */
  readonly answers: Map<string, Answer>;
  /** Bytes of the model that were sent, by all requests. */
  readonly sent: number;
  close(): void;
}

interface Content {
  readonly folder: string;
  readonly model: Uint8Array;
  /** What "/" answers, if not the folder's index.html. */
  readonly page?: string;
}

/** The package with a page of its own, and a model at /models/NAME, whatever NAME is. */
export const servePackage = (model: Uint8Array): Promise<Site> =>
  serve({ folder: root, model, page: PACKAGE_PAGE });

/** The same for a built site. */
export const serveFolder = (folder: string, model: Uint8Array): Promise<Site> =>
  serve({ folder, model });

async function serve(content: Content): Promise<Site> {
  let sent = 0;
  const answers = new Map<string, Answer>();
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    const answer = answers.get(pathname);
    if (answer) answer(request, response);
    else if (pathname.startsWith("/models/")) sent += sendRanges(content.model, request, response);
    else sendFile(content, pathname, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    answers,
    get sent() {
      return sent;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Answers ranges; the bytes that are sent. */
export function sendRanges(
  model: Uint8Array,
  request: IncomingMessage,
  response: ServerResponse,
): number {
  const { range, "if-none-match": known } = request.headers;
  const [, from, to] = /bytes=(\d+)-(\d*)/.exec(range ?? "") ?? [];
  const body = model.subarray(Number(from ?? 0), to ? Number(to) + 1 : model.length);
  const last = Number(from ?? 0) + body.length - 1;
  response.setHeader("accept-ranges", "bytes");
  response.setHeader("etag", '"1"');
  if (known === '"1"') response.writeHead(304).end();
  else {
    response.setHeader("content-length", body.length);
    if (from !== undefined)
      response.writeHead(206, { "content-range": `bytes ${from}-${last}/${model.length}` });
    if (request.method !== "HEAD") {
      response.end(body);
      return body.length;
    }
    response.end();
  }
  return 0;
}

function sendFile({ folder, page }: Content, pathname: string, response: ServerResponse): void {
  const name = pathname === "/" ? "/index.html" : pathname;
  response.setHeader("content-type", TYPES[extname(name)] ?? "application/octet-stream");
  try {
    response.end(pathname === "/" && page ? page : readFileSync(join(folder, name)));
  } catch {
    response.writeHead(404).end();
  }
}
