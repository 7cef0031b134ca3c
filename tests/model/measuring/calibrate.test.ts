import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { calibrateEngine } from "../../../src/api/calibration/calibrate-engine.ts";
import { readCalibration } from "../../../src/cache/filters-file.ts";
import { writeCalibration } from "../../../src/cache/write-filters.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { createEngine } from "../../../src/node.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { GREEDY } from "../chat.ts";
import { loadTinyEngine } from "../tiny-engine.ts";

const TEXT = Array.from({ length: 700 }, (_, i) => "abcdefgh "[(i * i + (i >> 3)) % 9]).join("");

describe("a tiny model without filters", () => {
  test("calibrates, and its conversations go on under the policy they asked for", async () => {
    const cache = { budget: 32, policy: "q-filters" as const, window: 8 };
    const source = new MemorySource(tinyModel("f32"), "tiny.gguf");
    const engine = await InferenceEngine.load(sharedGpu, { source, name: "tiny", cache });
    const chat = engine.conversation("a");
    expect(chat.settings.policy).toBe("k-norm");
    const ask = async (tokens: number[]) => {
      const answer: number[] = [];
      for await (const token of chat.generate(tokens, { sampling: GREEDY, maxTokens: 4 }))
        answer.push(token);
      return answer;
    };
    const prompt = engine.tokenizer.encode(TEXT).slice(0, 60);
    await ask(prompt);
    const seen = [...chat.tokens];
    const made = await calibrateEngine(engine, {
      texts: [TEXT],
      samples: 300,
      modelSha256: "ab",
    });
    expect(engine.info().notices).toHaveLength(1);
    await engine.install(made.file);
    expect(engine.info().notices).toEqual([]);
    expect(chat.tokens).toEqual(seen);
    await ask([...seen, ...prompt.slice(0, 5)]);
    expect(chat.settings.policy).toBe("q-filters");
    expect(chat.usage().pairsEvicted).toBeGreaterThan(0);
    // In use is what the file says: the same as an engine that was loaded with it.
    const loaded = await loadTinyEngine(cache, { filters: made.file });
    const nll = (one: typeof engine) => one.conversation("b").nll(prompt, { chunk: 1 });
    expect(await nll(engine)).toEqual(await nll(loaded));
    const again = await calibrateEngine(engine, { texts: [TEXT], samples: 300, modelSha256: "ab" });
    expect(again.file).toEqual(made.file);
    await loaded.close();
    await engine.close();
  });

  test("refuses a calibration of another shape or model and keeps what it had", async () => {
    const engine = await loadTinyEngine({}, { sha256: "ab" });
    const wrong = (layers: number, modelSha256: string) =>
      writeCalibration({
        filters: {
          values: new Float32Array(layers * 2 * 16).fill(1),
          layers,
          kvHeads: 2,
          headDim: 16,
          modelSha256,
        },
        statistics: {},
      });
    await expect(engine.install(wrong(3, "ab"))).rejects.toMatchObject({
      code: "bad_filters",
      details: { found: [3, 2, 16], expected: [2, 2, 16] },
    });
    await expect(engine.install(wrong(2, "cd"))).rejects.toMatchObject({
      code: "bad_filters",
      details: { found: "cd", expected: "ab" },
    });
    await engine.conversation("a").nll([1, 2, 3], { chunk: 1 });
    await engine.install(wrong(2, "ab"));
    expect(() => engine.identify("ef")).toThrow(
      expect.objectContaining({
        code: "bad_filters",
        details: expect.objectContaining({ found: "ab" }),
      }),
    );
    engine.identify("ab");
    await engine.close();
  });
});

describe("createEngine in Node", () => {
  let folder: string;
  const before = process.env.WINNOW_CACHE;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "winnow-"));
    process.env.WINNOW_CACHE = folder;
    writeFileSync(join(folder, "tiny.gguf"), tinyModel("f32"));
  });
  afterAll(() => {
    if (before === undefined) delete process.env.WINNOW_CACHE;
    else process.env.WINNOW_CACHE = before;
    rmSync(folder, { recursive: true });
  });

  test("finds what was kept, and refuses filters of another model", async () => {
    const model = join(folder, "tiny.gguf");
    const open = (filters?: Uint8Array) =>
      createEngine({ model, cache: { budget: 32 }, ...(filters ? { filters } : {}) });
    const first = await open();
    expect(first.cache.usage().policy).toBe("k-norm");
    const made = await first.calibrate({ samples: 64, seed: 2 });
    expect(made).toMatchObject({ samples: 64, tokens: 64, kept: true });
    expect(first.cache.usage().policy).toBe("q-filters");
    // Too short a text to fit scores on: winnow's own place is taken by what needs filters alone.
    expect(first.info().notices).toEqual([
      expect.stringMatching(/winnow needs .*so q-filters is used/),
    ]);
    await first.close();
    const second = await open();
    expect(second.cache.usage().policy).toBe("q-filters");
    await second.close();
    const { filters, statistics } = readCalibration(made.file);
    expect(filters.modelSha256).toMatch(/^[0-9a-f]{64}$/);
    const foreign = writeCalibration({
      filters: { ...filters, modelSha256: "0".repeat(64) },
      statistics,
    });
    await expect(open(foreign)).rejects.toMatchObject({
      code: "bad_filters",
      details: { found: "0".repeat(64), expected: filters.modelSha256 },
    });
  });
});
