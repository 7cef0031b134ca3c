/** Files of the hub whose hash nobody here knows: held to what the hub states, against a hub of our own. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { hubFileOf, hubUrl } from "../../../src/fetch/addresses.ts";
import { download } from "../../../src/fetch/download.ts";
import { hubStatements } from "../../../src/fetch/hub/hub-statement.ts";
import { findModel, type ModelEntry } from "../../../src/fetch/resolve/model-registry.ts";
import { resolveModel } from "../../../src/fetch/resolve/resolve-model.ts";
import { MemoryStore } from "../../../src/fetch/store/memory-store.ts";
import { storeKey } from "../../../src/fetch/stored-copy.ts";
import { resolveNodeModel } from "../../../src/node/model-files.ts";
import { startServer, type TestServer } from "./fetch-test-server.ts";

const BODY = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 2_654_435_761) >>> 24);
const OTHER = BODY.slice().reverse();
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const FILE = { repo: "some one/model", file: "weights/m.gguf", revision: "main" };
const URL = hubUrl(FILE);
const QUICK = { retries: 0, backoffMs: 1 };

/** A repository whose branch moves; every commit's bytes stay where they are. */
class FakeHub {
  readonly commits = new Map<string, TestServer>();
  readonly asked: string[] = [];
  head = "";
  /** What the API says in place of the truth. */
  answer: (() => Response) | undefined;
  lie: string | undefined;

  async commit(body: Uint8Array): Promise<TestServer> {
    const server = await startServer(body);
    this.head = sha256(body).slice(0, 40);
    this.commits.set(this.head, server);
    return server;
  }

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const url = String(input);
    if (url.startsWith("https://huggingface.co/api/")) {
      this.asked.push(url);
      return this.answer?.() ?? Response.json(this.info());
    }
    const { revision } = hubFileOf(url)!;
    const server = this.commits.get(revision === "main" ? this.head : revision);
    return server ? real(server.url, init) : new Response("", { status: 404 });
  };

  private info(): unknown {
    const { body } = this.commits.get(this.head)!;
    const lfs = { sha256: this.lie ?? sha256(body), size: body.length, pointerSize: 134 };
    return {
      sha: this.head,
      siblings: [
        { rfilename: "README.md", size: 5 },
        { rfilename: FILE.file, size: body.length, lfs },
      ],
    };
  }
}

const real = globalThis.fetch;
let hub: FakeHub;
let first: TestServer;
let store: MemoryStore;
beforeEach(async () => {
  hub = new FakeHub();
  first = await hub.commit(BODY);
  store = new MemoryStore();
});
afterEach(async () => {
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
  for (const server of hub.commits.values()) await server.close();
});

const start = () => download(URL, { ...QUICK, store, fetch: hub.fetch });
const bytesOf = async ({ source }: Awaited<ReturnType<typeof download>>) =>
  sha256(await source.read(0, source.size));

/** Leaves a download that broke off after `bytes` bytes. */
async function partial(bytes: number): Promise<void> {
  first.breakAfter = [bytes];
  await expect((await start()).done).rejects.toMatchObject({ code: "network" });
}

describe("what the hub states", () => {
  it("is asked once for all files of a repository", async () => {
    const ask = hubStatements({ fetch: hub.fetch });
    expect(await ask(FILE)).toEqual({ commit: hub.head, bytes: BODY.length, sha256: sha256(BODY) });
    expect(await ask({ ...FILE, file: "README.md" })).toEqual({ commit: hub.head, bytes: 5 });
    expect(await ask({ ...FILE, file: "none" })).toBeUndefined();
    expect(hub.asked).toEqual([
      "https://huggingface.co/api/models/some%20one/model/revision/main?blobs=true",
    ]);
  });

  it.each([
    ["an error", () => new Response("", { status: 500 })],
    ["a web page", () => new Response("<html>")],
    ["no commit", () => Response.json({ sha: "main", siblings: [] })],
    ["null", () => Response.json(null)],
  ])("is unknown where it answers %s", async (_, answer) => {
    hub.answer = answer;
    expect(await hubStatements({ fetch: hub.fetch })(FILE)).toBeUndefined();
  });

  it("belongs to addresses of the hub alone", () => {
    expect(hubFileOf(URL)).toEqual(FILE);
    expect(hubFileOf(`${URL}?download=true`)).toEqual(FILE);
    expect(hubFileOf("https://huggingface.co/a/b/blob/main/f")).toBeUndefined();
    expect(hubFileOf("https://example.com/a/b/resolve/main/f")).toBeUndefined();
  });
});

describe("a download", () => {
  it("is held to it, then needs neither hub nor network", async () => {
    const made = await start();
    expect(made).toMatchObject({ checked: true, sha256: sha256(BODY) });
    expect(await made.done).toEqual({ sha256: sha256(BODY) });
    expect(await store.find(await storeKey(URL))).toMatchObject({
      commit: hub.head,
      verified: true,
    });
    hub.answer = () => Response.error();
    await first.close();
    const again = await start();
    expect(again.checked).toBe(true);
    expect(await bytesOf(again)).toBe(sha256(BODY));
    expect(hub.asked).toHaveLength(1);
  });

  it("is refused and removed where the bytes are others", async () => {
    hub.lie = "0".repeat(64);
    await expect((await start()).done).rejects.toMatchObject({
      code: "bad_model_file",
      details: { field: "sha256" },
    });
    expect((await store.list()).size).toBe(0);
    hub.lie = undefined;
    expect(await (await start()).done).toEqual({ sha256: sha256(BODY) });
  });

  it("goes on from the commit it began with, though the branch has moved", async () => {
    await partial(120_000);
    const second = await hub.commit(OTHER);
    const resumed = await start();
    expect(await resumed.done).toEqual({ sha256: sha256(BODY) });
    expect(first.requests).toEqual(["", "bytes=120000-"]);
    expect(second.requests).toEqual([]);
  });

  it("begins anew where that commit is gone", async () => {
    await partial(120_000);
    hub.commits.delete(hub.head);
    await hub.commit(OTHER);
    expect(await (await start()).done).toEqual({ sha256: sha256(OTHER) });
    await first.close();
  });

  it("goes through unchecked where the hub cannot be asked, and is checked the next time", async () => {
    hub.answer = () => Response.error();
    const made = await start();
    expect(made).toMatchObject({ checked: false });
    expect(await made.done).toEqual({ sha256: sha256(BODY) });
    hub.answer = undefined;
    const again = await start();
    expect(again.checked).toBe(true);
    expect(first.requests).toHaveLength(1);
    // Nor is what was taken unchecked kept once the hub says otherwise.
    await hub.commit(OTHER);
    const fresh = await start();
    expect(await fresh.done).toEqual({ sha256: sha256(OTHER) });
    expect(await bytesOf(fresh)).toBe(sha256(OTHER));
  });
});

describe("a model of the list without a hash", () => {
  const { sha256: _, ...listed } = findModel("smollm2-135m-instruct");
  const entry: ModelEntry = { ...listed, name: "tiny", url: FILE };

  it("comes checked from the hub; from elsewhere with a notice", async () => {
    const local: typeof globalThis.fetch = async (input, init) =>
      String(input).endsWith(`/models/${FILE.file}`)
        ? real(first.url, init)
        : hub.fetch(input, init);
    const own = { ...QUICK, store: new MemoryStore(), fetch: local, models: [entry] };
    const beside = await resolveModel("tiny", { ...own, baseUrl: `${first.url}/../../` });
    expect(beside.notices).toEqual([expect.stringMatching(/tiny: no hash .* 127\.0\.0\.1/)]);
    const missing: typeof globalThis.fetch = async (input, init) =>
      String(input).startsWith("http:")
        ? new Response("", { status: 404 })
        : hub.fetch(input, init);
    const model = await resolveModel("tiny", { ...own, fetch: missing, baseUrl: "http://x.y/" });
    expect(model.notices).toBeUndefined();
    expect(model.sha256).toBe(sha256(BODY));
    expect(await model.verified()).toEqual({ sha256: sha256(BODY) });
  });
});

describe("in Node", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "winnow-hub-"));
    vi.stubEnv("WINNOW_CACHE", folder);
    vi.stubGlobal("fetch", hub.fetch);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Fetches the file as `createEngine` does; its bytes, and what the user is told. */
  async function fetchOnce(): Promise<{ bytes: Buffer; notices: readonly string[] }> {
    const model = await resolveNodeModel(FILE, () => {}, undefined, QUICK);
    try {
      await model.verified();
      await model.settle?.();
      return { bytes: readFileSync((await model.path())!), notices: model.notices ?? [] };
    } finally {
      await model.close();
    }
  }

  it("a file is held to it, and found again without asking", async () => {
    for (let round = 0; round < 2; round++) {
      const { bytes, notices } = await fetchOnce();
      expect(sha256(bytes)).toBe(sha256(BODY));
      expect(notices).toEqual([]);
    }
    expect(hub.asked).toHaveLength(1);
    expect(first.requests).toEqual([""]);
  });

  it("other bytes are refused and removed", async () => {
    hub.lie = "0".repeat(64);
    await expect(fetchOnce()).rejects.toMatchObject({ code: "bad_model_file" });
    expect(readdirSync(folder)).toEqual([]);
  });

  it("what was taken unchecked says so, and is checked once the hub answers", async () => {
    hub.answer = () => Response.error();
    for (let round = 0; round < 2; round++)
      expect((await fetchOnce()).notices).toEqual([expect.stringContaining("could not be asked")]);
    hub.answer = undefined;
    expect((await fetchOnce()).notices).toEqual([]);
    expect(first.requests).toEqual(["", "bytes=0-0"]);
  });

  it("what broke off goes on at its commit alone", async () => {
    first.breakAfter = [80_000];
    await expect(fetchOnce()).rejects.toMatchObject({ code: "network" });
    const second = await hub.commit(OTHER);
    expect(sha256((await fetchOnce()).bytes)).toBe(sha256(BODY));
    expect(first.requests).toEqual(["", "bytes=80000-"]);
    expect(second.requests).toEqual([]);
  });
});
