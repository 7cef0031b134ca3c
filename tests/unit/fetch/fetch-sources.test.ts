import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fileNameOf, hubUrl } from "../../../src/fetch/addresses.ts";
import { HttpSource } from "../../../src/fetch/http-source.ts";
import { findModel, MODELS, type ModelEntry } from "../../../src/fetch/resolve/model-registry.ts";
import { type ModelSource, resolveModel } from "../../../src/fetch/resolve/resolve-model.ts";
import { sha256OfSource } from "../../../src/fetch/sha256-stream.ts";
import { MemoryStore } from "../../../src/fetch/store/memory-store.ts";
import { openModelStore } from "../../../src/fetch/store/opfs-store.ts";
import { ifRangeHeader } from "../../../src/fetch/validators.ts";
import { BlobSource, MemorySource } from "../../../src/formats/blob-source.ts";
import type { ByteSource } from "../../../src/formats/byte-source.ts";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { NodeFileSource } from "../../../src/formats/node-source.ts";
import { writeGguf } from "../../reference/tiny-model/gguf-writer.ts";
import { startServer, type TestServer } from "./fetch-test-server.ts";

const BODY = writeGguf({
  metadata: { "general.architecture": "llama" },
  tensors: [{ name: "one", type: "F32", shape: [5000], data: new Float32Array(5000).fill(0.5) }],
});
const HASH = createHash("sha256").update(BODY).digest("hex");
const QUICK = { retries: 2, backoffMs: 1 };

/** As pages see answers of another origin that exposes no headers. */
const hidingRanges: typeof fetch = async (...given) => {
  const { status, body } = await fetch(...given);
  return new Response(body, { status });
};

let server: TestServer;
let folder: string;
let path: string;
let file: NodeFileSource | undefined;
beforeEach(async () => {
  server = await startServer(BODY);
  folder = mkdtempSync(join(tmpdir(), "winnow-source-"));
  path = join(folder, "test.gguf");
  writeFileSync(path, BODY);
});
afterEach(async () => {
  await server.close();
  await file?.close();
  file = undefined;
  rmSync(folder, { recursive: true, force: true });
});

describe.each<[string, () => Promise<ByteSource>]>([
  ["MemorySource", async () => new MemorySource(BODY, "test.gguf")],
  ["BlobSource", async () => new BlobSource(new File([BODY], "test.gguf"))],
  [
    "NodeFileSource",
    async () => {
      file = await NodeFileSource.open(path);
      return file;
    },
  ],
  ["HttpSource", () => HttpSource.open(server.url, QUICK)],
  [
    "HttpSource without ranges",
    () => {
      server.ranges = false;
      return HttpSource.open(server.url, QUICK);
    },
  ],
  [
    "HttpSource of a server that hides the size from other origins",
    () => HttpSource.open(server.url, { ...QUICK, fetch: hidingRanges }),
  ],
])("%s", (_, open) => {
  it("gives exactly the bytes asked for, the caller's own", async () => {
    const source = await open();
    expect(source).toMatchObject({ name: "test.gguf", size: BODY.length });
    for (const [offset, length] of [
      [0, 4],
      [17, 1000],
      [BODY.length - 1, 1],
      [BODY.length, 0],
    ] as const) {
      const bytes = await source.read(offset, length);
      expect(bytes).toEqual(BODY.slice(offset, offset + length));
      bytes.fill(0);
    }
    expect(await sha256OfSource(source)).toBe(HASH);
    expect((await parseGguf(source, { chunkBytes: 100 })).tensors.size).toBe(1);
  });

  it("refuses what lies outside, with the offset", async () => {
    const source = await open();
    for (const [offset, length] of [
      [BODY.length, 1],
      [-1, 1],
      [0, -1],
      [0, Number.NaN],
      [0, BODY.length + 1],
    ] as const)
      await expect(source.read(offset, length)).rejects.toMatchObject({
        code: "bad_model_file",
        details: { offset },
      });
  });

  it("obeys an abort", async () => {
    const source = await open();
    const signal = AbortSignal.abort();
    await expect(source.read(0, 4, signal)).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("HttpSource", () => {
  it("asks only for what is read, and again after failures", async () => {
    const source = await HttpSource.open(server.url, QUICK);
    expect(source.etag).toBe('"v1"');
    server.statuses = [503];
    server.breakAfter = [10];
    await source.read(100, 50);
    expect(server.requests).toEqual(
      ["bytes=0-0", ...Array(2).fill("bytes=100-149")].concat("bytes=100-149"),
    );
  });

  it("says when the file changed, is missing, or the server is down", async () => {
    const source = await HttpSource.open(server.url, QUICK);
    server.etag = '"v2"';
    await expect(source.read(0, 4)).rejects.toMatchObject({ code: "network" });
    server.statuses = [404];
    await expect(HttpSource.open(server.url, QUICK)).rejects.toMatchObject({
      code: "model_not_found",
    });
    await server.close();
    await expect(HttpSource.open(server.url, QUICK)).rejects.toMatchObject({ code: "network" });
  });

  it("names CORS where a file of another origin cannot be fetched, and only there", async () => {
    await server.close();
    const hintFor = async (origin: string): Promise<string> => {
      vi.stubGlobal("location", { origin, href: `${origin}/app/` });
      try {
        return await HttpSource.open(server.url, { retries: 0 }).then(
          () => "",
          (error: { hint: string }) => error.hint,
        );
      } finally {
        vi.unstubAllGlobals();
      }
    };
    expect(await hintFor("https://app.example")).toContain("Access-Control-Allow-Origin");
    expect(await hintFor(new URL(server.url).origin)).not.toContain("Access-Control");
  });
});

describe("addresses", () => {
  it("of hub files are escaped part by part", () => {
    expect(hubUrl({ repo: "a/b c", file: "d e/f#.gguf" })).toBe(
      "https://huggingface.co/a/b%20c/resolve/main/d%20e/f%23.gguf",
    );
    expect(hubUrl({ repo: "a/b", file: "f", revision: "refs/pr/1" })).toBe(
      "https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/f",
    );
  });

  it("give file names without queries", () => {
    expect(fileNameOf("https://x.y/z/m.gguf?download=true#a/b")).toBe("m.gguf");
    expect(fileNameOf("https://x.y/")).toBe("https://x.y/");
  });

  it("get If-Range only with strong validators", () => {
    const lastModified = "Mon, 30 Nov 2026 05:00:00 GMT";
    expect(ifRangeHeader("https://x.y/m", { etag: '"v"', lastModified })).toEqual({
      "If-Range": '"v"',
    });
    expect(ifRangeHeader("https://x.y/m", { lastModified })).toEqual({ "If-Range": lastModified });
    expect(ifRangeHeader("https://x.y/m", { etag: 'W/"v"', lastModified })).toEqual({});
    expect(ifRangeHeader("https://x.y/m", {})).toEqual({});
  });
});

describe("models.json", () => {
  it("holds complete, consistent entries", () => {
    expect(new Set(MODELS.map((entry) => entry.name)).size).toBe(MODELS.length);
    for (const entry of MODELS) {
      expect(entry.name).toMatch(/^[a-z0-9][a-z0-9.-]*$/);
      expect(entry.name).not.toMatch(/\.gguf$/);
      if (entry.sha256 !== undefined) expect(entry.sha256).toMatch(/^[0-9a-f]{64}$/);
      expect(entry.bytes).toBeGreaterThan(0);
      // A file whose hash is known is pinned.
      expect(entry.url.revision).toMatch(entry.sha256 ? /^[0-9a-f]{40}$/ : /^main$/);
      expect(hubUrl(entry.url)).toMatch(/^https:\/\/huggingface\.co\/[^/]+\/[^/]+\/resolve\//);
      expect(entry.contextLength).toBeGreaterThan(0);
    }
  });

  it("lists the known names for an unknown one", () => {
    expect(findModel("smollm2-135m-instruct").bytes).toBe(98_362_432);
    expect(() => findModel("toString")).toThrow(
      expect.objectContaining({
        code: "model_not_found",
        hint: expect.stringContaining("smollm2-135m-instruct"),
      }),
    );
  });
});

describe("resolveModel", () => {
  const entry: ModelEntry = {
    ...findModel("smollm2-135m-instruct"),
    name: "tiny",
    bytes: BODY.length,
    sha256: HASH,
    url: { repo: "some/model", file: "test.gguf", revision: "main" },
  };
  const resolve = (model: ModelSource, fetch = globalThis.fetch, store = new MemoryStore()) =>
    resolveModel(model, {
      ...QUICK,
      store,
      fetch,
      baseUrl: `${server.url}/../../`,
      models: [entry],
    });

  it("takes a file as it is", async () => {
    const model = await resolve(new File([BODY], "mine.gguf"));
    expect(model.name).toBe("mine.gguf");
    expect(model.entry).toBeUndefined();
    expect(await model.verified()).toEqual({ sha256: HASH });
  });

  it("takes a URL, also one relative to the page", async () => {
    for (const address of [server.url, "models/test.gguf", "/models/test.gguf"]) {
      const model = await resolve(address);
      expect(await model.source.read(0, 4)).toEqual(BODY.slice(0, 4));
      expect(await model.verified()).toEqual({ sha256: HASH });
    }
  });

  it("takes a named model from beside the page, then from the store", async () => {
    const store = new MemoryStore();
    const model = await resolve("tiny", fetch, store);
    expect(model).toMatchObject({ name: "tiny", sha256: HASH, entry });
    expect(await model.verified()).toEqual({ sha256: HASH });
    const again = await resolve("tiny", () => Promise.reject(new Error("offline")), store);
    expect(await again.verified()).toEqual({ sha256: HASH });
    expect(server.requests).toEqual([""]);
  });

  it.each([
    ["is not there", () => server.statuses.push(404)],
    ["is a web page", () => Object.assign(server, { contentType: "text/html" })],
    ["is another file", () => Object.assign(server, { body: BODY.slice(1) })],
  ])("goes on to the hub where the file beside the page %s", async (_, upset) => {
    upset();
    const asked: string[] = [];
    const routed: typeof fetch = async (input, init) => {
      asked.push(String(input));
      if (!String(input).startsWith("https://huggingface.co/")) return fetch(input, init);
      return new Response(BODY, { headers: { "content-length": String(BODY.length) } });
    };
    const model = await resolve("tiny", routed);
    expect(await model.verified()).toEqual({ sha256: HASH });
    expect(asked).toEqual([server.url, hubUrl(entry.url)]);
  });

  it("takes hub files, with main as the default revision", async () => {
    const hub: typeof fetch = async (input) => {
      if (String(input).includes("/api/")) return new Response("", { status: 503 });
      expect(String(input)).toBe("https://huggingface.co/a/b/resolve/main/test.gguf");
      return new Response(BODY, { headers: { "content-length": String(BODY.length) } });
    };
    const model = await resolve({ repo: "a/b", file: "test.gguf" }, hub);
    expect(await model.verified()).toEqual({ sha256: HASH });
    expect(model.notices).toEqual([expect.stringContaining("could not be asked")]);
  });

  it("says where nothing can be kept that the model is in memory alone", async () => {
    const resolveHere = (store?: MemoryStore) =>
      resolveModel(server.url, { ...QUICK, ...(store ? { store } : {}) });
    const here = await resolveHere();
    expect(here.notices).toEqual([expect.stringMatching(/memory alone and fetched again/)]);
    await here.verified();
    expect((await resolveHere(new MemoryStore())).notices).toBeUndefined();
  });

  it("reports the last error where no address has it, and bad arguments at once", async () => {
    const offline: typeof fetch = () => Promise.reject(new TypeError("fetch failed"));
    await expect(resolve("tiny", offline)).rejects.toMatchObject({ code: "network" });
    await expect(resolve("nobody")).rejects.toMatchObject({
      code: "model_not_found",
      details: { known: ["tiny"] },
    });
    for (const bad of ["", null, 5, {}, { repo: "a/b" }, "http://[/x.gguf"])
      await expect(resolve(bad as ModelSource)).rejects.toMatchObject({ code: "invalid_argument" });
  });
});

describe("in Node", () => {
  it("a missing path is named", async () => {
    for (const bad of [join(folder, "none.gguf"), folder])
      await expect(NodeFileSource.open(bad)).rejects.toMatchObject({
        code: "model_not_found",
        details: { path: bad },
      });
  });

  it("there is no OPFS, so the store is memory", async () => {
    expect((await openModelStore()).persistent).toBe(false);
  });
});
