import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
};

export interface Site {
  url: string;
  /** Paths that were asked for, in order. */
  asked: string[];
  stop(): void;
}

/**
 * A static host. `files`: paths that lie elsewhere; `headers` go with every answer. An unknown path is answered with
 * index.html and status 200, the way hosts of single-page apps do, unless `strict`: 404.
 */
export async function host(
  root: string,
  {
    files = {},
    headers = {},
    strict = false,
  }: { files?: Record<string, string>; headers?: Record<string, string>; strict?: boolean } = {},
): Promise<Site> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    asked.push(pathname);
    const named =
      files[pathname] ?? join(root, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    let path = named;
    let found = statSync(named, { throwIfNoEntry: false });
    if (!found?.isFile() && !strict) {
      path = join(root, "index.html");
      found = statSync(path, { throwIfNoEntry: false });
    }
    if (!found?.isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, {
      "content-type": TYPES[extname(path)] ?? "application/octet-stream",
      "content-length": found.size,
      etag: `"${found.size}-${found.mtimeMs}"`,
      ...headers,
    });
    createReadStream(path).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${port}/`,
    asked,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
