import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));

const TYPES: Record<string, string> = { ".js": "text/javascript", ".json": "application/json" };

/** A page without a bundler: the package as it is built, under `winnow` of its window. */
const PAGE = `<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><title>Winnow</title>
<script type="module">import * as winnow from "./dist/index.js"; Object.assign(window, { winnow });</script>`;

export interface Site {
  readonly url: string;
  /** Bytes of the model that were sent, by all requests. */
  readonly sent: number;
  close(): void;
}

/** Serves the package, its page and, as /model.gguf, a model; counts what of it is sent. */
export async function serveSite(model: Uint8Array): Promise<Site> {
  let sent = 0;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (pathname === "/model.gguf") {
      const [, from = "0"] = /bytes=(\d+)-/.exec(request.headers.range ?? "") ?? [];
      const start = Number(from);
      const body = model.subarray(start);
      if (request.headers.range) {
        response.statusCode = 206;
        response.setHeader("content-range", `bytes ${start}-${model.length - 1}/${model.length}`);
      }
      response.setHeader("accept-ranges", "bytes");
      response.setHeader("etag", '"1"');
      response.setHeader("content-length", body.length);
      if (request.method === "HEAD") return void response.end();
      if (request.headers["if-none-match"] === '"1"') return void response.writeHead(304).end();
      sent += body.length;
      return void response.end(body);
    }
    response.setHeader("content-type", TYPES[extname(pathname)] ?? "text/html");
    if (pathname === "/") return void response.end(PAGE);
    try {
      const within = pathname.startsWith("/dist/") ? pathname.slice("/dist/".length) : "";
      response.end(readFileSync(join(dist, within)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    get sent() {
      return sent;
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
