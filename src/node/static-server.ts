import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, sep } from "node:path";
import { WinnowError } from "../errors.ts";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".map": "application/json; charset=utf-8",
  ".svg": "image/svg+xml",
  ".webmanifest": "application/manifest+json",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
};

/** URL prefix -> folder or file on disk. The longest prefix that fits wins. */
export type Mounts = Readonly<Record<string, string>>;

export interface StaticServer {
  /** "http://localhost:PORT/" */
  url: string;
  port: number;
  close(): void;
}

/** How many ports are tried from the one that was asked for. */
const PORTS_TRIED = 100;

/**
 * Serves files with their MIME types and byte ranges, on this machine only. Port 0 takes any that is free. A port
 * that is taken, or that this user may not open, gives way to the next free one. Throws invalid_argument when none
 * of 100 is free.
 */
export async function serveStatic(mounts: Mounts, port: number): Promise<StaticServer> {
  const server = createServer((request, response) => {
    answer(mounts, request, response).catch(() => refuse(response, 404));
  });
  await listen(server, port);
  const { port: open } = server.address() as AddressInfo;
  return {
    url: `http://localhost:${open}/`,
    port: open,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function listen(server: Server, port: number): Promise<void> {
  const last = Math.min(port + PORTS_TRIED - 1, 65_535);
  for (let tried = port; ; tried += 1) {
    const cause = await listenAt(server, tried);
    if (!cause) return;
    const taken = cause.code === "EADDRINUSE" || cause.code === "EACCES";
    if (taken && port > 0 && tried < last) continue;
    const problem = taken ? `none from ${port} to ${tried} is free` : cause.message;
    throw new WinnowError("invalid_argument", `port: ${problem}`, {
      hint: "Choose another with --port.",
      cause,
    });
  }
}

/** Resolves with why the server cannot listen there, or with nothing once it does. */
function listenAt(server: Server, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const failed = (cause: NodeJS.ErrnoException): void => resolve(cause);
    server.once("error", failed);
    server.listen(port, "localhost", () => {
      server.off("error", failed);
      resolve(undefined);
    });
  });
}

async function answer(
  mounts: Mounts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") return refuse(response, 405);
  const { pathname } = new URL(request.url ?? "/", "http://localhost");
  const path = await locate(mounts, decodeURIComponent(pathname));
  if (!path) return refuse(response, 404);
  const { size, mtimeMs } = await stat(path);
  const etag = `"${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}"`;
  const range = parseRange(request.headers.range, size);
  response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
  response.setHeader("accept-ranges", "bytes");
  response.setHeader("cache-control", "no-cache");
  response.setHeader("etag", etag);
  if (range === "invalid") {
    response.setHeader("content-range", `bytes */${size}`);
    return refuse(response, 416);
  }
  if (!range && request.headers["if-none-match"] === etag) {
    response.statusCode = 304;
    response.end();
    return;
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  response.statusCode = range ? 206 : 200;
  response.setHeader("content-length", end - start + 1);
  if (range) response.setHeader("content-range", `bytes ${start}-${end}/${size}`);
  if (request.method === "HEAD" || size === 0) return void response.end();
  const stream = createReadStream(path, { start, end });
  stream.on("error", () => response.destroy());
  response.on("close", () => stream.destroy());
  stream.pipe(response);
}

/** The file a URL path means; undefined outside the mounts, for folders without index.html too. */
async function locate(mounts: Mounts, pathname: string): Promise<string | undefined> {
  const prefix = Object.keys(mounts)
    .filter((mount) => pathname.startsWith(mount))
    .sort((a, b) => b.length - a.length)[0];
  if (prefix === undefined || pathname.includes("\0")) return undefined;
  const base = await realpath(mounts[prefix]!).catch(() => undefined);
  if (!base) return undefined;
  const rest = pathname.slice(prefix.length);
  const wanted = rest === "" ? base : join(base, rest);
  // Links may lead out of a mounted folder (a model cache does); ".." may not.
  if (wanted !== base && !wanted.startsWith(base + sep)) return undefined;
  const found = await stat(wanted).catch(() => undefined);
  if (found?.isFile()) return wanted;
  const index = join(wanted, "index.html");
  return found?.isDirectory() && (await stat(index).catch(() => undefined))?.isFile()
    ? index
    : undefined;
}

/** One range of `bytes=a-b`, `bytes=a-` or `bytes=-n`; several at once are answered as none. */
function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | "invalid" | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const start = match[1] === "" ? Math.max(0, size - Number(match[2])) : Number(match[1]);
  const end = match[1] === "" || match[2] === "" ? size - 1 : Math.min(Number(match[2]), size - 1);
  return start > end ? "invalid" : { start, end };
}

function refuse(response: ServerResponse, status: number): void {
  if (response.headersSent) return void response.destroy();
  response.statusCode = status;
  response.end();
}
