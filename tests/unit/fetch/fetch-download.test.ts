import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { download } from "../../../src/fetch/download.ts";
import { MemoryStore } from "../../../src/fetch/store/memory-store.ts";
import type { ModelStore } from "../../../src/fetch/store/model-store.ts";
import { OpfsStore } from "../../../src/fetch/store/opfs-store.ts";
import { type DownloadOptions, storeKey } from "../../../src/fetch/stored-copy.ts";
import { FakeDirectory } from "./fetch-fake-opfs.ts";
import { startServer, type TestServer } from "./fetch-test-server.ts";

const BODY = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 2_654_435_761) >>> 24);
const HASH = createHash("sha256").update(BODY).digest("hex");
/** Vitest compares large arrays element by element, slowly. */
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

const STORES: [string, () => ModelStore][] = [
  ["memory", () => new MemoryStore()],
  ["OPFS (simulated)", () => new OpfsStore(new FakeDirectory().handle)],
];

let server: TestServer;
beforeEach(async () => {
  server = await startServer(BODY);
});
afterEach(async () => {
  await server.close();
});

describe.each(STORES)("download into %s", (_, makeStore) => {
  let store: ModelStore;
  beforeEach(() => {
    store = makeStore();
  });
  const start = (options: Partial<DownloadOptions> = {}) =>
    download(server.url, { store, retries: 2, backoffMs: 1, ...options });
  const stored = async (sha256?: string) => store.find(await storeKey(server.url, sha256));

  /** Breaks the first download off after some bytes. */
  async function partial(bytes: number, options: Partial<DownloadOptions> = {}) {
    server.breakAfter = [bytes];
    const { done } = await start({ ...options, retries: 0 });
    await expect(done).rejects.toMatchObject({ code: "network" });
    server.requests.length = 0;
  }

  it("gives the file, its hash, progress, and later asks only whether it has changed", async () => {
    const progress: number[] = [];
    const first = await start({ onProgress: (_stage, loaded) => progress.push(loaded) });
    expect(first.source).toMatchObject({ name: "test.gguf", size: BODY.length });
    expect(await first.done).toEqual({ sha256: HASH });
    expect(same(await first.source.read(0, BODY.length), BODY)).toBe(true);
    expect(progress.at(-1)).toBe(BODY.length);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    expect(await stored()).toMatchObject({ verified: true, sha256: HASH, size: BODY.length });

    const second = await start();
    expect(await second.done).toEqual({ sha256: HASH });
    expect(await second.source.read(1000, 50)).toEqual(BODY.slice(1000, 1050));
    expect(server.requests).toEqual(["", "bytes=0-0"]);
    expect([...(await store.list()).keys()]).toEqual([await storeKey(server.url)]);
  });

  it("lets reads wait for their bytes and no longer", async () => {
    server.stallAfter = 100_000;
    const controller = new AbortController();
    const { source, done } = await start({ signal: controller.signal });
    expect(await source.read(99_000, 1000)).toEqual(BODY.slice(99_000, 100_000));
    const late = source.read(99_001, 1000);
    const own = new AbortController();
    const withdrawn = source.read(200_000, 1000, own.signal);
    own.abort();
    await expect(withdrawn).rejects.toMatchObject({ code: "aborted" });
    controller.abort();
    await expect(late).rejects.toMatchObject({ code: "aborted" });
    await expect(done).rejects.toMatchObject({ code: "aborted" });
    expect((await stored())?.received).toBe(100_000);

    server.stallAfter = undefined;
    const resumed = await start();
    expect(await resumed.done).toEqual({ sha256: HASH });
    expect(server.requests.at(-1)).toBe("bytes=100000-");
  });

  it("refuses reads outside the file", async () => {
    const { source } = await start();
    await expect(source.read(BODY.length - 1, 2)).rejects.toMatchObject({ code: "bad_model_file" });
  });

  it("takes a broken connection up again from where it broke", async () => {
    server.breakAfter = [70_000, 50_000, 90_000];
    const { source, done } = await start();
    expect(await done).toEqual({ sha256: HASH });
    expect(same(await source.read(0, BODY.length), BODY)).toBe(true);
    expect(server.requests).toEqual(["", "bytes=70000-", "bytes=120000-", "bytes=210000-"]);
  });

  it("gives up on a connection that brings nothing, keeps what came, and resumes", async () => {
    server.breakAfter = [120_000, 0, 0, 0];
    const first = await start();
    await expect(first.done).rejects.toMatchObject({ code: "network" });
    await expect(first.source.read(0, 10)).rejects.toMatchObject({ code: "network" });
    expect(await stored()).toMatchObject({ received: 120_000, verified: false, etag: '"v1"' });
    server.breakAfter = [];
    server.requests.length = 0;

    const stages: string[] = [];
    const second = await start({ onProgress: (stage) => stages.push(stage) });
    expect(await second.done).toEqual({ sha256: HASH });
    expect(same(await second.source.read(0, BODY.length), BODY)).toBe(true);
    expect(server.requests).toEqual(["bytes=120000-"]);
    expect(stages[0]).toBe("verify");
  });

  it("retries server errors, then reports the status", async () => {
    server.statuses = [503, 429];
    expect(await (await start()).done).toEqual({ sha256: HASH });
    server.statuses = [500, 502, 503];
    await store.remove(await storeKey(server.url));
    await expect(start()).rejects.toMatchObject({ code: "network", details: { status: 503 } });
    server.statuses = [404];
    await expect(start()).rejects.toMatchObject({ code: "model_not_found" });
    server.statuses = [400];
    const before = server.requests.length;
    await expect(start()).rejects.toMatchObject({ code: "network", details: { status: 400 } });
    expect(server.requests.length).toBe(before + 1);
  });

  it("starts again when the server's file has changed", async () => {
    await partial(100_000);
    server.etag = '"v2"';
    server.body = BODY.slice().reverse();
    const { source, done } = await start();
    await done;
    expect(same(await source.read(0, BODY.length), server.body)).toBe(true);
    expect((await stored())?.etag).toBe('"v2"');
  });

  it("starts again when nothing would tell that the file has changed", async () => {
    server.etag = null;
    await partial(100_000);
    expect(await (await start()).done).toEqual({ sha256: HASH });
    expect(server.requests).toEqual([""]);
  });

  it("resumes without a validator where the hash is known, even from another address", async () => {
    server.etag = null;
    await partial(100_000, { sha256: HASH });
    const other = await startServer(BODY);
    try {
      const { done } = await download(other.url, { store, sha256: HASH });
      expect(await done).toEqual({ sha256: HASH });
      expect(other.requests).toEqual(["bytes=100000-"]);
    } finally {
      await other.close();
    }
  });

  it("fails when the file changes under a download, and keeps nothing of it", async () => {
    server.breakAfter = [100_000];
    const { source, done } = await start();
    await source.read(0, 50_000);
    server.etag = '"v2"';
    await expect(done).rejects.toMatchObject({
      code: "bad_model_file",
      details: { field: "etag" },
    });
    expect(await stored()).toBeUndefined();
  });

  it("works with a server that ignores ranges", async () => {
    server.ranges = false;
    server.breakAfter = [100_000];
    const { source, done } = await start();
    expect(await done).toEqual({ sha256: HASH });
    expect(same(await source.read(0, BODY.length), BODY)).toBe(true);
    await store.remove(await storeKey(server.url));
    await partial(100_000);
    const again = await start();
    expect(await again.done).toEqual({ sha256: HASH });
    expect(same(await again.source.read(0, BODY.length), BODY)).toBe(true);
  });

  it("finds all bytes there already", async () => {
    const key = await storeKey(server.url, HASH);
    const file = await store.open(key);
    file.append(BODY);
    file.save({ url: server.url, size: BODY.length, received: BODY.length, verified: false });
    file.close();
    const { source, done } = await start({ sha256: HASH });
    expect(await done).toEqual({ sha256: HASH });
    expect(await source.read(5, 5)).toEqual(BODY.slice(5, 10));
  });

  it("refuses another hash and removes the bytes", async () => {
    const { done } = await start({ sha256: "0".repeat(64) });
    await expect(done).rejects.toMatchObject({
      code: "bad_model_file",
      details: { field: "sha256" },
    });
    expect((await store.list()).size).toBe(0);
    expect(await (await start({ sha256: HASH })).done).toEqual({ sha256: HASH });
  });

  it("refuses another size before it fetches, and web pages in place of a model", async () => {
    await expect(start({ bytes: 5 })).rejects.toMatchObject({ code: "bad_model_file" });
    server.contentType = "text/html; charset=utf-8";
    await expect(start()).rejects.toMatchObject({ code: "model_not_found" });
    server.contentType = "application/octet-stream";
    expect(await (await start({ bytes: BODY.length })).done).toEqual({ sha256: HASH });
  });

  it("fetches again what was lost or damaged in the store", async () => {
    await (await start({ sha256: HASH })).done;
    const key = await storeKey(server.url, HASH);
    const file = await store.open(key);
    file.truncate(1000);
    file.close();
    const { source, done } = await start({ sha256: HASH });
    expect(await done).toEqual({ sha256: HASH });
    expect(same(await source.read(0, BODY.length), BODY)).toBe(true);
  });

  it("says so where the store loses the file, and fetches it anew", async () => {
    const lost = new DOMException(
      "A requested file or directory could not be found",
      "NotFoundError",
    );
    const find = store.source.bind(store);
    store.source = () => Promise.reject(lost);
    const { done, source } = await start();
    await expect(done).rejects.toMatchObject({
      code: "bad_model_file",
      message: expect.stringContaining("has lost the file"),
      hint: expect.stringContaining("fetched anew"),
    });
    await expect(source.read(0, 10)).rejects.toMatchObject({ code: "bad_model_file" });
    store.source = find;
    expect(await (await start()).done).toEqual({ sha256: HASH });
    expect(server.requests).toEqual(["", ""]);
  });

  it("uses memory while another download holds the file", async () => {
    const file = await store.open(await storeKey(server.url));
    const { source, done } = await start();
    expect(await done).toEqual({ sha256: HASH });
    expect(same(await source.read(0, BODY.length), BODY)).toBe(true);
    expect(file.size).toBe(0);
    file.close();
    expect(await stored()).toBeUndefined();
  });

  it("does not start when aborted, nor wait out a backoff", async () => {
    const controller = new AbortController();
    server.statuses = [503];
    const waiting = start({ signal: controller.signal, backoffMs: 1e6 });
    await vi.waitFor(() => expect(server.requests).toHaveLength(1));
    controller.abort();
    await expect(waiting).rejects.toMatchObject({ code: "aborted" });
    await expect(start({ signal: controller.signal })).rejects.toMatchObject({ code: "aborted" });
    expect(server.requests).toHaveLength(1);
  });
});

describe("stores", () => {
  it("take a record that was cut off, or is something else, for none", async () => {
    const directory = new FakeDirectory();
    const store = new OpfsStore(directory.handle);
    for (const text of ['{"url":', "null", "[]", '{"url":1}', '{"url":"x","size":1}']) {
      directory.files.set("k.json", new TextEncoder().encode(text));
      expect(await store.find("k")).toBeUndefined();
    }
    expect((await store.list()).size).toBe(0);
  });

  it("report a full disk as such and keep what came", async () => {
    const directory = new FakeDirectory();
    directory.quota = 100_000;
    server.breakAfter = [60_000];
    const store = new OpfsStore(directory.handle);
    const { done } = await download(server.url, { store, backoffMs: 1 });
    await expect(done).rejects.toMatchObject({ code: "out_of_memory" });
    directory.quota = Number.POSITIVE_INFINITY;
    expect((await store.find(await storeKey(server.url)))?.received).toBeGreaterThanOrEqual(60_000);
    expect(await (await download(server.url, { store })).done).toEqual({ sha256: HASH });
    expect(server.requests.at(-1)).toMatch(/^bytes=\d+-$/);
  });

  it("truncate in the middle of a chunk and read across chunks", async () => {
    const file = await new MemoryStore().open("k");
    for (let at = 0; at < 1000; at += 100) file.append(BODY.subarray(at, at + 100));
    file.truncate(250);
    file.append(BODY.subarray(250, 400));
    expect(file.size).toBe(400);
    for (const [offset, length] of [
      [0, 400],
      [199, 2],
      [250, 0],
      [240, 160],
      [399, 1],
    ] as const)
      expect(file.read(offset, length)).toEqual(BODY.slice(offset, offset + length));
  });
});
