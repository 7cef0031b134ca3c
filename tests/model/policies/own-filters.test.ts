import { expect, test } from "vitest";
import { openEngine } from "../../../src/api/worker/open-engine.ts";
import { writeFilters } from "../../../src/cache/write-filters.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";

const source = new MemorySource(tinyModel("f32"), "tiny.gguf");

const open = (given: Uint8Array | undefined, own: Uint8Array | undefined) =>
  openEngine({
    gpu: sharedGpu,
    model: { source, name: "tiny", verified: async () => ({ sha256: "ab" }) },
    options: { cache: { policy: "q-filters" } },
    filters: given,
    tokenizer: undefined,
    openFile: async () => source,
    ownFilters: async () => own,
    onProgress: () => {},
    signal: new AbortController().signal,
  });

test.each([
  ["a web page", new TextEncoder().encode("<!doctype html><title>app</title>")],
  ["nothing", new Uint8Array(0)],
  [
    "another model's",
    writeFilters({ values: new Float32Array(8).fill(1), layers: 1, kvHeads: 1, headDim: 8 }),
  ],
])("own filters that are %s count as absent; the caller's are refused", async (_, bytes) => {
  const { engine, close } = await open(undefined, bytes);
  expect(engine.conversation("a").settings.policy).toBe("k-norm");
  expect(engine.info().notices).toEqual([expect.stringContaining("filters")]);
  await close();
  await expect(open(bytes, undefined)).rejects.toMatchObject({ code: "bad_filters" });
});
