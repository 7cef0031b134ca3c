/** Published filters: from the hub, once, and refused where they are of another model. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { writeFilters } from "../../src/cache/write-filters.ts";
import { loadCalibration } from "../../src/engine/load-filters.ts";
import { hubUrl } from "../../src/fetch/addresses.ts";
import { fetchHubFile } from "../../src/fetch/hub/hub-file.ts";
import { findModel, MODELS, type ModelEntry } from "../../src/fetch/resolve/model-registry.ts";
import { MemoryStore } from "../../src/fetch/store/memory-store.ts";
import { MemorySource } from "../../src/formats/blob-source.ts";
import { parseGguf } from "../../src/formats/gguf/gguf.ts";
import { readOwnFilters } from "../../src/node/filter-files.ts";
import { configOf } from "../reference/tiny-model/config-of.ts";
import { TINY_MODELS, tinyModel } from "../reference/tiny-model/tiny-model.ts";
import { startServer, type TestServer } from "./fetch/fetch-test-server.ts";

const { layers, kvHeads, headDim } = TINY_MODELS.llama3;
const values = Float32Array.from({ length: layers * kvHeads * headDim }, (_, i) => i - 9);
const HUB = { repo: "someone/model_qfilt", file: "model.safetensors", revision: "main" };
const entry: ModelEntry = { ...findModel("llama-3.2-1b-instruct"), filters: HUB };

let server: TestServer;
let cache: string;
const real = globalThis.fetch;
/** The hub, here. */
const fetch: typeof globalThis.fetch = async (input, options) => {
  // Of this file the hub has no hash.
  if (String(input).includes("/api/models/")) return Response.json({});
  expect(String(input)).toBe(hubUrl(HUB));
  return real(server.url, options);
};
beforeEach(async () => {
  server = await startServer(writeFilters({ values, layers, kvHeads, headDim }));
  cache = mkdtempSync(join(tmpdir(), "winnow-filters-"));
});
afterEach(async () => {
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
  await server.close();
  rmSync(cache, { recursive: true });
});

const configNamed = async (name: "llama3" | "qwen3" | "gemma3") =>
  configOf(await parseGguf(new MemorySource(tinyModel(name), "tiny.gguf")));

describe("published filters", () => {
  it("come once, and fit the model they are for", async () => {
    const store = new MemoryStore();
    const first = await fetchHubFile(HUB, { store, fetch });
    expect(await fetchHubFile(HUB, { store, fetch })).toEqual(first);
    expect(server.requests).toEqual(["", "bytes=0-0"]);
    expect(loadCalibration(first, await configNamed("llama3")).filters.values).toEqual(values);
  });

  it("of another shape are refused, naming both", async () => {
    const bytes = await fetchHubFile(HUB, { store: new MemoryStore(), fetch });
    const config = await configNamed("qwen3");
    expect(() => loadCalibration(bytes, config)).toThrow(
      expect.objectContaining({
        code: "bad_filters",
        message: expect.stringMatching(/found \[2, 1, 128\].*needs \[2, 2, 32\]/),
      }),
    );
  });

  it("of the global layers alone leave the others at zero", async () => {
    const config = await configNamed("gemma3");
    const given = Float32Array.from({ length: 256 }, (_, i) => i + 1);
    const bytes = writeFilters({ values: given, layers: 1, kvHeads: 1, headDim: 256 });
    const { filters } = loadCalibration(bytes, config);
    expect(filters).toMatchObject({ layers: 7, kvHeads: 1, headDim: 256 });
    const wanted = new Float32Array(7 * 256);
    wanted.set(given, 5 * 256);
    expect(filters.values).toEqual(wanted);
  });

  it("come once in Node too; where they cannot be had, none are used", async () => {
    vi.stubGlobal("fetch", fetch);
    vi.stubEnv("WINNOW_CACHE", cache);
    server.statuses.push(404);
    expect(await readOwnFilters(entry)).toBeUndefined();
    for (let round = 0; round < 2; round++)
      expect(await readOwnFilters(entry)).toEqual(server.body);
    expect(server.requests).toEqual(["", "", "bytes=0-0"]);
  });

  it("are named where someone published them for a model of the list", () => {
    const hub = MODELS.filter(({ filters }) => typeof filters === "object");
    expect(hub.map(({ name }) => name)).toEqual(["llama-3.2-1b-instruct", "llama-3.2-3b-instruct"]);
    for (const { filters } of hub)
      expect(filters).toMatchObject({ repo: expect.stringMatching(/^nthngdy\/.*_qfilt$/) });
  });
});
