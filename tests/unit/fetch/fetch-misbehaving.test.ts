/** Servers that do what servers do, against both stores. Each test is a fault that was seen somewhere. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import { download } from "../../../src/fetch/download.ts";
import type { Waiting } from "../../../src/fetch/http.ts";
import { resolveModel } from "../../../src/fetch/resolve/resolve-model.ts";
import { DiskStore } from "../../../src/fetch/store/disk-store.ts";
import { MemoryStore } from "../../../src/fetch/store/memory-store.ts";
import type { ModelStore } from "../../../src/fetch/store/model-store.ts";
import { OpfsStore } from "../../../src/fetch/store/opfs-store.ts";
import { type DownloadOptions, findKept, storeKey } from "../../../src/fetch/stored-copy.ts";
import { FakeDirectory } from "./fetch-fake-opfs.ts";

const bytes = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => ((i + seed) * 2_654_435_761) >>> 24);
const BODY = bytes(300_000, 0);
const OTHER = bytes(300_000, 1);
const sha256 = (data: Uint8Array) => createHash("sha256").update(data).digest("hex");

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let answers: Answer[];
/** The answer to everything once `answers` are used up. */
let usual: Answer;
let requests: string[];
let url: string;
let server: ReturnType<typeof createServer>;
let folder: string;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "winnow-fetch-"));
  answers = [];
  requests = [];
  usual = file(BODY);
  server = createServer((request, response) => {
    requests.push(request.headers.range ?? "");
    (answers.shift() ?? usual)(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m.gguf`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

interface Served {
  etag?: string | undefined;
  lastModified?: string;
  /** Bytes after which the connection breaks. */
  breakAt?: number;
  ranges?: boolean;
  ifRange?: boolean;
}

/** A server as it should be, but for what is asked of it. */
function file(body: Uint8Array, served: Served = { etag: '"v1"' }): Answer {
  const { etag, lastModified, breakAt, ranges = true, ifRange = true } = served;
  return (request, response) => {
    const match = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const wanted = request.headers["if-range"];
    const fits = !ifRange || wanted === undefined || wanted === etag || wanted === lastModified;
    const ranged = ranges && match !== null && fits;
    const start = ranged ? Number(match[1]) : 0;
    const end = ranged && match[2] ? Number(match[2]) + 1 : body.length;
    const validators = {
      ...(etag === undefined ? {} : { etag }),
      ...(lastModified === undefined ? {} : { "last-modified": lastModified }),
    };
    if (start >= body.length) {
      response.writeHead(416, { ...validators, "content-range": `bytes */${body.length}` }).end();
      return;
    }
    const part = body.subarray(start, end);
    response.writeHead(ranged ? 206 : 200, {
      ...validators,
      "content-length": part.length,
      ...(ranged ? { "content-range": `bytes ${start}-${end - 1}/${body.length}` } : {}),
    });
    if (breakAt === undefined) response.end(part);
    else response.write(part.subarray(0, breakAt), () => setTimeout(() => response.destroy(), 10));
  };
}

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_request, response) =>
    void response.writeHead(code, headers).end();

/** Another origin that exposes no headers: what a page sees of it. */
const crossOrigin: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  const shown = new Headers();
  for (const name of ["content-length", "content-type", "last-modified"]) {
    const value = response.headers.get(name);
    if (value !== null) shown.set(name, value);
  }
  return new Proxy(response, {
    get(target, name) {
      if (name === "headers") return shown;
      if (name === "type") return "cors";
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
};

const STORES: [string, () => ModelStore][] = [
  ["OPFS (simulated)", () => new OpfsStore(new FakeDirectory().handle)],
  ["a disk", () => new DiskStore(folder)],
];

describe.each(STORES)("into %s", (_, makeStore) => {
  let store: ModelStore;
  beforeEach(() => {
    store = makeStore();
  });
  const start = (options: Partial<DownloadOptions> = {}) =>
    download(url, { store, retries: 2, backoffMs: 1, ...options });
  const kept = async () => findKept(store, await storeKey(url));

  /** Downloads and ends as an engine does that could use it. */
  async function load(options: Partial<DownloadOptions> = {}) {
    const { source, done, notices, settle, close } = await start(options);
    await done;
    const got = await source.read(0, source.size);
    await settle();
    await close();
    return { hash: sha256(got), notices };
  }

  /** Leaves a part of `length` bytes. */
  async function part(length: number, served: Served = { etag: '"v1"' }): Promise<void> {
    answers = [file(BODY, { ...served, breakAt: length })];
    await expect((await start({ retries: 0 })).done).rejects.toMatchObject({ code: "network" });
    expect((await kept()).part?.record.received).toBe(length);
    requests.length = 0;
  }

  it("a range answered 200 with its Content-Range is that range", async () => {
    await part(100_000);
    answers = [
      (request, response) => {
        const real = file(BODY);
        const writeHead = response.writeHead.bind(response);
        response.writeHead = ((_code: number, headers: Record<string, string>) =>
          writeHead(200, headers)) as typeof response.writeHead;
        real(request, response);
      },
    ];
    expect((await load()).hash).toBe(sha256(BODY));
    expect(requests).toEqual(["bytes=100000-"]);
  });

  it.each([
    [
      "the middle of the file",
      { "content-range": "bytes 1000-3999/4000", "content-length": "3000" },
    ],
    [
      "a range that has another length",
      { "content-range": "bytes 0-3999/4000", "content-length": "3000" },
    ],
    ["a range behind the end", { "content-range": "bytes 0-3999/3000", "content-length": "4000" }],
    ["no range at all", { "content-range": "lines 1-2", "content-length": "3000" }],
  ])(
    "%s where the whole file was asked for is an error, and nothing is kept",
    async (_, headers) => {
      usual = (_request, response) =>
        void response
          .writeHead(200, headers)
          .end(BODY.subarray(0, Number(headers["content-length"])));
      await expect(start()).rejects.toMatchObject({
        code: "network",
        details: { field: "content-range" },
      });
      expect(requests).toHaveLength(1);
      expect((await store.list()).size).toBe(0);
    },
  );

  it("a part whose rest comes from the wrong place is begun anew", async () => {
    await part(100_000);
    const rest = BODY.subarray(50_000);
    answers = [
      (_request, response) =>
        void response
          .writeHead(206, {
            etag: '"v1"',
            "content-length": rest.length,
            "content-range": `bytes 50000-299999/300000`,
          })
          .end(rest),
    ];
    expect((await load()).hash).toBe(sha256(BODY));
    expect(requests).toEqual(["bytes=100000-", ""]);
  });

  it.each<[string, Served, Served]>([
    ["another ETag", { etag: '"v1"' }, { etag: '"v2"' }],
    ["another ETag, and If-Range ignored", { etag: '"v1"' }, { etag: '"v2"', ifRange: false }],
    ["a weak ETag", { etag: 'W/"v1"' }, { etag: 'W/"v2"' }],
    [
      "another date",
      { lastModified: "Mon, 30 Nov 2026 05:00:00 GMT" },
      { lastModified: "Mon, 30 Nov 2026 06:00:00 GMT", ifRange: false },
    ],
    ["no validator any more", { etag: '"v1"' }, { ifRange: false }],
    ["no validator at all", {}, {}],
  ])(
    "a part is not joined with a file of the same length that has %s",
    async (_, before, after) => {
      await part(150_000, before);
      usual = file(OTHER, after);
      expect((await load()).hash).toBe(sha256(OTHER));
    },
  );

  it("a part is gone on with by its date alone", async () => {
    const served = { lastModified: "Mon, 30 Nov 2026 05:00:00 GMT" };
    await part(150_000, served);
    usual = file(BODY, served);
    expect((await load()).hash).toBe(sha256(BODY));
    expect(requests).toEqual(["bytes=150000-"]);
  });

  it("so it is by a page of another origin, which is shown no ETag", async () => {
    const served = { etag: '"v1"', lastModified: "Mon, 30 Nov 2026 05:00:00 GMT" };
    answers = [file(BODY, served), file(BODY, { ...served, breakAt: 150_000 })];
    const first = await start({ retries: 0, fetch: crossOrigin });
    await expect(first.done).rejects.toMatchObject({ code: "network" });
    requests.length = 0;
    usual = file(BODY, served);
    expect((await load({ fetch: crossOrigin })).hash).toBe(sha256(BODY));
    expect(requests).toEqual(["bytes=150000-"]);
  });

  it("a part that is longer than the file (416) is begun anew", async () => {
    await part(150_000);
    usual = file(OTHER.subarray(0, 100_000), { etag: '"v2"', ifRange: false });
    expect((await load()).hash).toBe(sha256(OTHER.subarray(0, 100_000)));
    expect(requests).toEqual(["bytes=150000-", ""]);
  });

  it("416 to every request ends in an error, after a few waits", async () => {
    for (const held of [0, 100_000]) {
      if (held > 0) await part(held);
      requests.length = 0;
      usual = status(416);
      const pauses: Waiting[] = [];
      const failing = start({
        onProgress: (_s, _l, _t, waiting) => waiting && pauses.push(waiting),
      });
      await expect(failing).rejects.toMatchObject({ code: "network", details: { status: 416 } });
      expect(pauses.filter((pause) => pause.for !== "other")).toEqual([
        { for: "connection", seconds: 0.001 },
        { for: "connection", seconds: 0.002 },
      ]);
      expect(requests.length).toBeLessThan(9);
      usual = file(BODY);
    }
    expect((await kept()).part?.record.received).toBe(100_000);
  });

  it("a web page in place of the model is not kept, nor does it replace what is", async () => {
    const page: Answer = (_request, response) =>
      void response.writeHead(200, { "content-type": "text/html" }).end("<p>hi");
    usual = page;
    await expect(start()).rejects.toMatchObject({ code: "model_not_found" });
    expect((await store.list()).size).toBe(0);
    usual = file(BODY);
    await load();
    usual = page;
    const { hash, notices } = await load();
    expect(hash).toBe(sha256(BODY));
    expect(notices).toEqual([expect.stringContaining("a web page is there")]);
  });

  /** Answers at once, or never: a machine that is slow does not count as a server that is silent. */
  function scripted(...replies: (() => Promise<Response>)[]): typeof fetch {
    return async (_input, init) => {
      requests.push(new Headers(init?.headers).get("range") ?? "");
      return replies.length > 1 ? replies.shift()!() : replies[0]!();
    };
  }
  const never = () => new Promise<never>(() => {});
  const reply = async (body: BodyInit, headers: object, status = 200) =>
    new Response(body, { status, headers: { etag: '"v1"', ...headers } });

  it("silence before or within an answer is followed by a new request from the last byte, as a retry", async () => {
    const breaking = new ReadableStream({ start: (to) => to.enqueue(BODY.slice(0, 120_000)) });
    const rest = BODY.slice(120_000);
    const range = `bytes 120000-${BODY.length - 1}/${BODY.length}`;
    const pauses: Waiting[] = [];
    const { hash } = await load({
      silenceMs: 20,
      fetch: scripted(
        never,
        () => reply(breaking, { "content-length": BODY.length }),
        () => reply(rest, { "content-range": range, "content-length": rest.length }, 206),
      ),
      onProgress: (_s, _l, _t, waiting) => waiting && pauses.push(waiting),
    });
    expect(hash).toBe(sha256(BODY));
    expect(requests).toEqual(["", "", "bytes=120000-"]);
    expect(pauses.map((pause) => pause.for)).toEqual(["connection", "connection"]);
    await store.remove(await storeKey(url));
    await expect(start({ silenceMs: 30, fetch: scripted(never) })).rejects.toMatchObject({
      code: "network",
      message: expect.stringContaining("sent nothing for 0.03 s"),
    });
  });

  it("a server that drips is not silent", async () => {
    let sent = 0;
    const dripping = new ReadableStream({
      pull: async (to) => {
        await new Promise((resolve) => setTimeout(resolve, 10));
        to.enqueue(BODY.slice(sent, sent + 1));
        if (++sent === 10) to.close();
      },
    });
    const send = scripted(() => reply(dripping, { "content-length": 10 }));
    expect((await load({ silenceMs: 50, fetch: send })).hash).toBe(sha256(BODY.subarray(0, 10)));
    expect(requests).toEqual([""]);
  });

  it.each<[string, Answer, typeof fetch, string[]]>([
    ["gzip, by range", gzipped({ honours: true }), fetch, ["", "bytes=0-"]],
    ["gzip, by range, another origin", gzipped({ honours: true }), crossOrigin, ["", "bytes=0-"]],
    ["gzip whatever is asked for", gzipped({}), fetch, ["", "bytes=0-"]],
    ["gzip whatever is asked for, another origin", gzipped({}), crossOrigin, ["", "bytes=0-"]],
    ["gzip, and ranges of that", gzipped({ ranges: true }), fetch, ["", "bytes=0-"]],
    ["gzip without a length", gzipped({ length: false }), fetch, ["", "bytes=0-"]],
    [
      "gzip without a length, another origin",
      gzipped({ length: false }),
      crossOrigin,
      ["", "bytes=0-"],
    ],
    ["chunks without a length", chunked, fetch, ["", "bytes=0-"]],
    [
      "no ranges, another origin",
      file(BODY, { etag: '"v1"', ranges: false }),
      crossOrigin,
      ["", "bytes=0-"],
    ],
    ["no ranges", file(BODY, { ranges: false }), fetch, [""]],
  ])("%s: loads", async (_, answer, send, asked) => {
    usual = answer;
    expect((await load({ fetch: send })).hash).toBe(sha256(BODY));
    expect(requests).toEqual(asked);
    expect((await kept()).whole?.record.size).toBe(BODY.length);
    // The same with a size that is known beforehand, as of registered models.
    await store.remove(await storeKey(url));
    const known = { sha256: sha256(BODY), bytes: BODY.length };
    expect((await load({ fetch: send, ...known })).hash).toBe(known.sha256);
  });

  it("ranges of a compressed file, where another origin is not told of that: loads if its size is known, else says what to do", async () => {
    usual = gzipped({ ranges: true });
    const known = { sha256: sha256(BODY), bytes: BODY.length };
    expect((await load({ fetch: crossOrigin, ...known })).hash).toBe(known.sha256);
    await store.remove(await storeKey(url, known.sha256));
    const failing = await start({ fetch: crossOrigin });
    await expect(failing.done).rejects.toMatchObject({
      code: "network",
      hint: expect.stringContaining("Access-Control-Expose-Headers"),
    });
    usual = file(BODY, { etag: '"v1"' });
    expect((await load({ fetch: crossOrigin })).hash).toBe(sha256(BODY));
  });

  it("a compressed file that breaks off is fetched again from its start", async () => {
    usual = gzipped({});
    answers = [gzipped({ breakAt: 4000 }), usual];
    expect((await load()).hash).toBe(sha256(BODY));
    expect(requests.length).toBeGreaterThan(2);
  });

  it.each([400, 4000])(
    "a file that breaks off after %i compressed bytes is not gone on with by ranges of those",
    async (breakAt) => {
      usual = gzipped({ ranges: true });
      answers = [gzipped({ breakAt }), usual];
      expect((await load()).hash).toBe(sha256(BODY));
      expect(requests.slice(-2)).toEqual(["", "bytes=0-"]);
    },
  );

  it.each([429, 503])(
    "%i with Retry-After is waited for as told, which progress says",
    async (code) => {
      const pauses: Waiting[] = [];
      const onProgress: DownloadOptions["onProgress"] = (_s, _l, _t, waiting) =>
        waiting && pauses.push(waiting);
      answers = [status(code, { "retry-after": "1" })];
      const began = Date.now();
      expect((await load({ onProgress })).hash).toBe(sha256(BODY));
      expect(Date.now() - began).toBeGreaterThan(950);
      expect(pauses).toEqual([{ for: "server", seconds: 1 }]);
      await store.remove(await storeKey(url));
      pauses.length = 0;
      answers = [status(code, { "retry-after": new Date(Date.now() + 2000).toUTCString() })];
      await load({ onProgress });
      expect(pauses[0]?.seconds).toBeGreaterThan(0.5);
      expect(pauses[0]?.seconds).toBeLessThan(2.1);
    },
  );

  it("a Retry-After of hours is capped, and can be aborted", async () => {
    answers = [status(503, { "retry-after": "36000" })];
    const controller = new AbortController();
    const pauses: Waiting[] = [];
    const waiting = start({
      signal: controller.signal,
      onProgress: (_s, _l, _t, pause) => {
        if (!pause) return;
        pauses.push(pause);
        controller.abort();
      },
    });
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    expect(pauses).toEqual([{ for: "server", seconds: 60 }]);
  });

  it("what no hash is known of is asked after when it is opened again", async () => {
    await load();
    expect((await load()).notices).toEqual([]);
    expect(requests).toEqual(["", "bytes=0-0"]);
    usual = file(OTHER, { etag: '"v2"' });
    expect((await load()).hash).toBe(sha256(OTHER));
    // The old version has gone, and the new one is asked after in its turn.
    expect((await store.list()).size).toBe(1);
    requests.length = 0;
    expect((await load()).hash).toBe(sha256(OTHER));
    expect(requests).toEqual(["bytes=0-0"]);
  });

  it("offline, or where the server fails, the stored copy is used with a notice", async () => {
    await load();
    for (const answer of [status(500), status(404), status(429, { "retry-after": "9" })]) {
      usual = answer;
      const { hash, notices } = await load();
      expect(hash).toBe(sha256(BODY));
      expect(notices).toEqual([expect.stringContaining("the stored copy is used")]);
    }
    const offline = () => Promise.reject(new TypeError("fetch failed"));
    expect((await load({ fetch: offline })).notices).toEqual([
      expect.stringContaining("fetch failed"),
    ]);
  });

  it("a new version that breaks off leaves the old one usable, and goes on later", async () => {
    await load();
    const changed = { etag: '"v2"' };
    usual = file(OTHER, changed);
    answers = [usual, file(OTHER, { ...changed, breakAt: 100_000 })];
    await expect((await start({ retries: 0 })).done).rejects.toMatchObject({ code: "network" });
    const offline = () => Promise.reject(new TypeError("fetch failed"));
    expect((await load({ fetch: offline })).hash).toBe(sha256(BODY));
    requests.length = 0;
    expect((await load()).hash).toBe(sha256(OTHER));
    expect(requests).toEqual(["bytes=0-0", "bytes=100000-"]);
    expect((await store.list()).size).toBe(1);
  });

  it("what is no model does not stay, and is fetched again once the server is mended", async () => {
    const pointer = new TextEncoder().encode(
      "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 98362432\n",
    );
    usual = file(pointer);
    const model = await resolveModel(url, { store, backoffMs: 1 });
    await model.verified();
    await model.close?.();
    await model.settle?.(new WinnowError("bad_model_file", "no GGUF"));
    expect((await store.list()).size).toBe(0);
    // An error that is not the file's leaves it.
    usual = file(BODY, { etag: '"v2"' });
    const mended = await start();
    await mended.done;
    await mended.close();
    await mended.settle(new WinnowError("out_of_memory", "no room"));
    expect((await kept()).whole?.record.sha256).toBe(sha256(BODY));
    // A pointer that takes the model's place later does not take its copy.
    usual = file(pointer, { etag: '"v3"' });
    const bad = await start();
    await bad.done;
    await bad.close();
    await bad.settle(new WinnowError("bad_model_file", "no GGUF"));
    usual = status(500);
    expect((await load()).hash).toBe(sha256(BODY));
  });

  it("two downloads at once fetch once", async () => {
    const both = await Promise.all([load(), load(), load()]);
    expect(both.map(({ hash }) => hash)).toEqual(Array(3).fill(sha256(BODY)));
    expect(requests.filter((range) => range === "")).toHaveLength(1);
  });

  it("the second takes over where the first is stopped, or fails", async () => {
    usual = (request, response) => {
      const broken = requests.length === 1;
      file(BODY, { etag: '"v1"', ...(broken ? { breakAt: 200_000 } : {}) })(request, response);
    };
    const first = await start({ retries: 0 });
    const seen: (Waiting | undefined)[] = [];
    const second = load({ onProgress: (_s, _l, _t, waiting) => seen.push(waiting) });
    await expect(first.done).rejects.toMatchObject({ code: "network" });
    expect((await second).hash).toBe(sha256(BODY));
    expect(requests).toEqual(["", "bytes=200000-"]);
  });

  it("a wait for another can be aborted, and ends where that one does not move on", async () => {
    const release = await store.lock(await storeKey(url), new AbortController().signal);
    const controller = new AbortController();
    const waits: (Waiting | undefined)[] = [];
    const waiting = start({
      signal: controller.signal,
      onProgress: (_s, _l, _t, pause) => {
        waits.push(pause);
        controller.abort();
      },
    });
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    expect(waits[0]).toEqual({ for: "other" });
    const { hash, notices } = await load({ patienceMs: 100 });
    expect(hash).toBe(sha256(BODY));
    expect(notices).toEqual([expect.stringContaining("in memory alone")]);
    release();
    expect((await kept()).whole).toBeUndefined();
    expect((await load()).notices).toEqual([]);
  });

  it("close at any moment keeps what came and frees the file", async () => {
    usual = (_request, response) => {
      response.writeHead(200, { etag: '"v1"', "content-length": BODY.length });
      response.write(BODY.subarray(0, 90_000));
    };
    const { source, done, close } = await start();
    await source.read(0, 80_000);
    await close();
    await expect(done).rejects.toMatchObject({ code: "aborted" });
    expect((await kept()).part?.record.received).toBeGreaterThanOrEqual(80_000);
    usual = file(BODY);
    expect((await load()).hash).toBe(sha256(BODY));
  });

  it("a file that changes while it is fetched is an error, whatever tells", async () => {
    for (const [before, after] of [
      [{ etag: '"v1"' }, { etag: '"v2"', ifRange: false }],
      // Nothing tells but the bytes: all are fetched again, and compared.
      [{}, {}],
      [{ etag: '"v1"' }, { ranges: false }],
    ] as [Served, Served][]) {
      answers = [file(BODY, { ...before, breakAt: 100_000 })];
      usual = file(OTHER, after);
      await expect((await start()).done).rejects.toMatchObject({
        code: "bad_model_file",
        details: { field: "etag" },
      });
      expect((await store.list()).size).toBe(0);
    }
  });

  it("ranges that come in pieces are asked for one behind the other, without a wait", async () => {
    const pieces: Answer = (request, response) => {
      const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "bytes=0-")![1]);
      const piece = BODY.subarray(from, from + 100_000);
      response
        .writeHead(206, {
          etag: '"v1"',
          "content-length": piece.length,
          "content-range": `bytes ${from}-${from + piece.length - 1}/${BODY.length}`,
        })
        .end(piece);
    };
    await part(50_000);
    usual = pieces;
    expect((await load({ backoffMs: 1e6 })).hash).toBe(sha256(BODY));
    expect(requests).toEqual(["bytes=50000-", "bytes=150000-", "bytes=250000-"]);
  });

  it("an empty file is refused", async () => {
    usual = file(new Uint8Array(0), { ranges: false });
    usual = (_request, response) => void response.writeHead(200, { "content-length": 0 }).end();
    await expect(start()).rejects.toMatchObject({ code: "bad_model_file" });
    usual = (_request, response) => void response.writeHead(200).end();
    await expect(start()).rejects.toMatchObject({ code: "bad_model_file" });
    expect((await store.list()).size).toBe(0);
  });

  it("resets at random bytes end in the right file", async () => {
    let seed = 7;
    const random = () => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    for (let round = 0; round < 5; round++) {
      usual = (request, response) => {
        const breakAt = random() < 0.7 ? Math.floor(random() * 150_000) : undefined;
        const ranges = random() < 0.7;
        file(BODY, { etag: '"v1"', ranges, ...(breakAt === undefined ? {} : { breakAt }) })(
          request,
          response,
        );
      };
      expect((await load({ retries: 200 })).hash).toBe(sha256(BODY));
      await store.remove(await storeKey(url));
    }
  });

  it("redirects are followed, and the file is filed under the address that was asked for", async () => {
    answers = [status(302, { location: "/elsewhere/x.gguf" })];
    const { source, done } = await start();
    await done;
    expect(source.name).toBe("m.gguf");
    expect((await kept()).whole?.record.url).toBe(url);
  });
});

/** A server that compresses, unless a range is asked for and it honours that. */
function gzipped(how: {
  honours?: boolean;
  length?: boolean;
  breakAt?: number;
  /** It gives ranges of what it compressed. */
  ranges?: boolean;
}): Answer {
  const packed = gzipSync(BODY);
  return (request, response) => {
    if (how.honours && request.headers.range) return file(BODY)(request, response);
    const [, from] = (how.ranges && /^bytes=(\d+)-/.exec(request.headers.range ?? "")) || [];
    if (Number(from) >= packed.length) {
      response.writeHead(416, { "content-range": `bytes */${packed.length}` }).end();
      return;
    }
    if (from !== undefined) {
      response.writeHead(206, {
        etag: 'W/"v1"',
        "content-encoding": "gzip",
        "content-length": packed.length - Number(from),
        "content-range": `bytes ${from}-${packed.length - 1}/${packed.length}`,
      });
      response.end(packed.subarray(Number(from)));
      return;
    }
    response.writeHead(200, {
      etag: 'W/"v1"',
      "content-encoding": "gzip",
      ...(how.length === false ? {} : { "content-length": packed.length }),
    });
    if (how.breakAt === undefined) response.end(packed);
    else
      response.write(packed.subarray(0, how.breakAt), () =>
        setTimeout(() => response.destroy(), 10),
      );
  };
}

function chunked(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { etag: '"v1"' });
  response.write(BODY.subarray(0, 1000));
  response.end(BODY.subarray(1000));
}

it("a handle that is refused for a moment is waited for; one that stays refused means memory, and a notice", async () => {
  const directory = new FakeDirectory();
  const store = new OpfsStore(directory.handle);
  const name = `${await storeKey(url)}.gguf`;
  directory.locked.add(name);
  setTimeout(() => directory.locked.delete(name), 150);
  const first = await download(url, { store });
  await first.done;
  expect(first.notices).toEqual([]);
  expect((await store.list()).size).toBe(1);
  await store.remove(await storeKey(url));

  directory.locked.add(name);
  const began = Date.now();
  const second = await download(url, { store });
  expect(Date.now() - began).toBeLessThan(3000);
  expect(second.notices).toEqual([expect.stringMatching(/cannot be written.*memory alone/)]);
  expect(await second.done).toEqual({ sha256: sha256(BODY) });
  expect(sha256(await second.source.read(0, BODY.length))).toBe(sha256(BODY));
});

it("a quota that is exceeded at any byte keeps what came, and the record of it", async () => {
  for (const quota of [0, 500, 60_000, 200_000]) {
    const directory = new FakeDirectory();
    const store = new OpfsStore(directory.handle);
    directory.quota = quota;
    const outcome = await download(url, { store })
      .then(({ done }) => done)
      .catch((e: unknown) => e);
    expect(outcome).toMatchObject({
      code: "out_of_memory",
      hint: expect.stringMatching(/removeModel/),
    });
    directory.quota = Number.POSITIVE_INFINITY;
    const { done } = await download(url, { store });
    expect(await done).toEqual({ sha256: sha256(BODY) });
  }
});

it("addresses that end with the page are not kept", async () => {
  const store = new MemoryStore();
  const blob = URL.createObjectURL(new Blob([BODY]));
  const model = await resolveModel(blob, { store });
  expect(await model.verified()).toEqual({ sha256: sha256(BODY) });
  expect((await store.list()).size).toBe(0);
});
