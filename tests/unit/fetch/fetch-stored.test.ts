/** What is stored is listed and removed, in the page's store and on a disk; two processes share a disk. */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { download } from "../../../src/fetch/download.ts";
import { absolute } from "../../../src/fetch/resolve/resolve-model.ts";
import { DiskStore } from "../../../src/fetch/store/disk-store.ts";
import { lockFile } from "../../../src/fetch/store/lock-file.ts";
import type { ModelStore } from "../../../src/fetch/store/model-store.ts";
import { OpfsStore } from "../../../src/fetch/store/opfs-store.ts";
import { storeKey } from "../../../src/fetch/stored-copy.ts";
import { listStored, removeStored } from "../../../src/fetch/stored-models.ts";
import { winnow } from "../cli/cli-harness.ts";
import { FakeDirectory } from "./fetch-fake-opfs.ts";
import { startServer, type TestServer } from "./fetch-test-server.ts";

const BODY = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 2_654_435_761) >>> 24);
const HASH = createHash("sha256").update(BODY).digest("hex");

let server: TestServer;
let folder: string;
beforeEach(async () => {
  server = await startServer(BODY);
  folder = mkdtempSync(join(tmpdir(), "winnow-stored-"));
  vi.stubEnv("WINNOW_CACHE", folder);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

const STORES: [string, () => ModelStore][] = [
  ["OPFS (simulated)", () => new OpfsStore(new FakeDirectory().handle)],
  ["a disk", () => new DiskStore(folder)],
];

describe.each(STORES)("in %s", (_, makeStore) => {
  it("models are listed as they are, and removed, but not under a download", async () => {
    const store = makeStore();
    server.breakAfter = [50_000];
    const broken = await download(server.url, { store, retries: 0 });
    await expect(broken.done).rejects.toMatchObject({ code: "network" });
    const [part] = await listStored(store);
    expect(part).toMatchObject({ source: server.url, name: "test.gguf", bytes: 50_000 });
    expect(part).toMatchObject({ complete: false, verified: false });

    const whole = await download(server.url, { store });
    await whole.done;
    await whole.settle();
    await vi.waitFor(async () => expect((await listStored(store))[0]?.lastUsed).toBeDefined());
    const known = await download(server.url, { store, sha256: HASH, model: "tiny" });
    await known.done;
    expect(await listStored(store)).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ source: server.url, complete: true, verified: false }),
        expect.objectContaining({ source: "tiny", complete: true, verified: true }),
      ]),
    );

    const release = await store.lock(await storeKey(server.url), new AbortController().signal);
    await expect(removeStored(server.url, store)).rejects.toMatchObject({ code: "busy" });
    release();
    expect(await removeStored(server.url, store)).toBe(true);
    expect(await removeStored(server.url, store)).toBe(false);
    expect(await removeStored(new Blob([BODY]), store)).toBe(false);
    await expect(removeStored("nobody", store)).rejects.toMatchObject({ code: "model_not_found" });
    expect((await listStored(store)).map(({ source }) => source)).toEqual(["tiny"]);
    expect(await removeStored("tiny", store)).toBe(true);
    expect((await store.list()).size).toBe(0);
  });
});

describe("a disk", () => {
  it("is listed and cleared by `winnow models`", async () => {
    const whole = await download(server.url, { store: new DiskStore(folder) });
    await whole.done;
    await whole.settle();
    const { models } = JSON.parse((await winnow("models", "--json")).stdout);
    expect(models).toEqual([
      expect.objectContaining({ source: server.url, bytes: BODY.length, complete: true }),
    ]);
    expect((await winnow("models")).stdout).toContain(server.url);
    const missing = await winnow("models", "--remove", "https://x.y/none.gguf");
    expect(missing).toMatchObject({ status: 1, stdout: "" });
    expect((await winnow("models", "--remove", server.url)).stdout).toContain("removed");
    expect(readdirSync(folder)).toEqual([]);
    expect((await winnow("models", "--json")).stdout).toBe('{"models":[]}\n');
    expect((await winnow("models", "--host", "node")).status).toBe(1);
  });

  it("takes a whole file that was damaged behind our back for none", async () => {
    const store = new DiskStore(folder);
    await (await download(server.url, { store, sha256: HASH })).done;
    const key = await storeKey(server.url, HASH);
    const old = new Date(1000);
    utimesSync(store.pathOf(key), old, old);
    expect(await store.find(key)).toMatchObject({ verified: true });
    writeFileSync(store.pathOf(key), BODY.slice().reverse());
    expect(await store.find(key)).toBeUndefined();
  });

  it("is waited for while another process holds its lock", async () => {
    const lock = await lockFile(join(folder, `${await storeKey(server.url)}.lock`), never());
    const waiting = download(server.url, { store: new DiskStore(folder) });
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(server.requests).toEqual([]);
    lock();
    expect(await (await waiting).done).toEqual({ sha256: HASH });
  });

  it("is not locked for ever by a process that died", async () => {
    const path = join(folder, "x.lock");
    const child = promisify(execFile)(process.execPath, ["-e", "console.log(process.pid)"]);
    const { hostname } = await import("node:os");
    writeFileSync(path, `${(await child).stdout.trim()} ${hostname()}`);
    const release = await lockFile(path, never());
    await expect(lockFile(path, AbortSignal.abort())).rejects.toThrow();
    release();
    expect(readdirSync(folder)).toEqual([]);
    writeFileSync(path, "1 another-machine");
    await expect(lockFile(path, AbortSignal.abort())).rejects.toThrow();
    utimesSync(path, new Date(1000), new Date(1000));
    (await lockFile(path, never()))();
  });
});

const never = (): AbortSignal => new AbortController().signal;

describe("an address", () => {
  afterEach(() => vi.unstubAllGlobals());

  it("that is absolute needs no page, also where the location has no origin", () => {
    vi.stubGlobal("location", { origin: "null", href: "file:///app/worker.js" });
    expect(absolute("http://localhost:9101/model.gguf", {})).toBe(
      "http://localhost:9101/model.gguf",
    );
    expect(() => absolute("models/m.gguf", {})).toThrow(
      expect.objectContaining({
        code: "invalid_argument",
        hint: expect.stringContaining("absolute"),
      }),
    );
    expect(absolute("m.gguf", { baseUrl: "https://x.y/a/" })).toBe("https://x.y/a/m.gguf");
  });
});
