import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { launchChromium } from "../chromium.ts";
import { tinyModel } from "../reference/tiny-model/tiny-model.ts";

const dist = fileURLToPath(new URL("../../dist", import.meta.url));
const MODEL = tinyModel("f32");
const PAGE = `<!doctype html><script type="module">
  import * as winnow from "/index.js";
  globalThis.winnow = winnow;
</script>`;

/** The package's own files, and a model that is served as `serve` says. */
let serve: (request: IncomingMessage, response: ServerResponse) => void;
let ranges: string[];
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url!, "http://localhost");
  if (pathname === "/model.gguf") {
    ranges.push(request.headers.range ?? "");
    return serve(request, response);
  }
  if (pathname === "/") return response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
  try {
    const code = readFileSync(join(dist, pathname));
    response.writeHead(200, { "content-type": "text/javascript" }).end(code);
  } catch {
    response.writeHead(404).end();
  }
});
let browser: Browser;
let url: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  browser = await launchChromium();
});
afterAll(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  ranges = [];
  serve = whole;
});

function whole(request: IncomingMessage, response: ServerResponse, until = MODEL.length): void {
  const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const start = Number(match?.[1] ?? 0);
  const end = match?.[2] ? Number(match[2]) + 1 : MODEL.length;
  response.writeHead(match ? 206 : 200, {
    etag: '"v1"',
    "content-length": end - start,
    ...(match ? { "content-range": `bytes ${start}-${end - 1}/${MODEL.length}` } : {}),
  });
  if (until < end) response.write(MODEL.subarray(start, until));
  else response.end(MODEL.subarray(start, end));
}

/** Loads the model `times` at once in a page; what was seen of it. */
const load = (page: Page, times = 1) =>
  page.evaluate(async (times) => {
    type Library = typeof import("../../src/index.ts");
    const { createEngine, listModels } = (globalThis as unknown as { winnow: Library }).winnow;
    const one = async () => {
      const engine = await createEngine({ model: "/model.gguf", calibrate: "off" });
      const { notices } = engine.info();
      await engine.close();
      return notices;
    };
    const notices = (await Promise.all(Array.from({ length: times }, one))).flat();
    return { notices, models: await listModels() };
  }, times);

const open = async (context = browser.newContext()): Promise<Page> => {
  const page = await (await context).newPage();
  await page.goto(url);
  await page.waitForFunction(() => "winnow" in globalThis);
  return page;
};

it("two tabs with two engines each fetch a model once", async () => {
  const context = await browser.newContext();
  const tabs = await Promise.all([0, 1].map(() => open(Promise.resolve(context))));
  const seen = await Promise.all(tabs.map((tab) => load(tab, 2)));
  for (const { notices, models } of seen) {
    expect(notices.filter((notice) => /memory|stored/.test(notice))).toEqual([]);
    expect(models).toMatchObject([{ complete: true, bytes: MODEL.length }]);
  }
  expect(ranges.filter((range) => range !== "bytes=0-0")).toEqual([""]);
  await context.close();
});

it("a server that compresses what is asked for whole is loaded", async () => {
  const packed = gzipSync(MODEL);
  serve = (request, response) => {
    if (request.headers.range) return whole(request, response);
    response.writeHead(200, { "content-encoding": "gzip", "content-length": packed.length });
    response.end(packed);
  };
  const page = await open();
  expect((await load(page)).models).toMatchObject([{ complete: true, bytes: MODEL.length }]);
  expect(ranges).toEqual(["", "bytes=0-"]);
  await page.context().close();
});

it("a reload at 35 % goes on from there", async () => {
  const held = Math.floor(MODEL.length * 0.35);
  serve = (request, response) => whole(request, response, held);
  const page = await open();
  load(page).catch(() => undefined);
  await expect.poll(() => ranges.length).toBe(1);
  // The record is written every few seconds.
  serve = (request, response) => whole(request, response, held + 1000);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await page.reload();
  await page.waitForFunction(() => "winnow" in globalThis);
  serve = whole;
  expect((await load(page)).models).toMatchObject([{ complete: true, bytes: MODEL.length }]);
  await page.context().close();
});

it.each([
  [
    "a Git LFS pointer",
    "application/octet-stream",
    "version https://git-lfs.github.com/spec/v1\noid sha256:0",
  ],
  ["a JSON error", "application/json", '{ "error": "rate limited" }'],
  ["the front half of a model", "application/octet-stream", MODEL.subarray(0, MODEL.length >> 1)],
])(
  "%s is no model and does not stay: once the server is mended, the model loads",
  async (_name, type, body) => {
    serve = (_request, response) => {
      response.writeHead(200, { "content-type": type, "content-length": body.length }).end(body);
    };
    const page = await open();
    const refused = await page.evaluate(async () => {
      type Library = typeof import("../../src/index.ts");
      const { createEngine, listModels } = (globalThis as unknown as { winnow: Library }).winnow;
      const code = await createEngine({ model: "/model.gguf" }).then(
        () => "loaded",
        (error) => error.code,
      );
      return { code, models: await listModels() };
    });
    expect(refused).toEqual({ code: "bad_model_file", models: [] });
    serve = whole;
    expect((await load(page)).models).toMatchObject([{ complete: true, bytes: MODEL.length }]);
    await page.context().close();
  },
);
