import { readFileSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import { create } from "webgpu";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { parseGguf } from "../../../src/formats/gguf/gguf.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { GREEDY } from "../chat.ts";

/** PyTorch's losses of the model as it is. */
const fixture: { tokens: number[]; nll: number[] } = JSON.parse(
  readFileSync(new URL("../fixtures/tiny-f32.json", import.meta.url), "utf8"),
);

let engine: InferenceEngine | undefined;
afterEach(() => engine?.close());

/**
 * The tiny f32 model with all keys 2^20 times as large, some beyond what f16 holds, and all queries 2^20 times
 * smaller: products, and so the losses, stay what they were to the last bit.
 */
async function load(
  cache: CacheOptions,
  memoryLimit?: number,
  gpu: GPU = sharedGpu,
): Promise<InferenceEngine> {
  const bytes = tinyModel("f32");
  const { tensors } = await parseGguf(new MemorySource(bytes, "tiny.gguf"));
  for (const [name, { offset, shape }] of tensors) {
    const factor = /attn_([qk])\.weight/.exec(name)?.[1];
    if (!factor) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
    for (let i = 0; i < shape[0]! * shape[1]!; i += 1)
      view.setFloat32(4 * i, view.getFloat32(4 * i, true) * 2 ** (factor === "k" ? 20 : -20), true);
  }
  engine = await InferenceEngine.load(gpu, {
    source: new MemorySource(bytes, "tiny.gguf"),
    name: "large keys",
    cache: { budget: 64, policy: "k-norm", window: 8, ...cache },
    ...(memoryLimit === undefined ? {} : { memoryLimit }),
  });
  return engine;
}

const worst = (nll: Float64Array): number =>
  fixture.nll.reduce((most, loss, i) => Math.max(most, Math.abs(loss - nll[i]!)), 0);

test.each([1, 20])("the engine goes over to f32 by itself, chunks of %i", async (chunk) => {
  const { info } = await load({});
  expect(info.call(engine).kv).toBe("f16");
  const nll = await engine!.conversation("a").nll(fixture.tokens, { chunk });
  expect(worst(nll)).toBeLessThan(1e-3);
  expect(engine!.info().kv).toBe("f32");
  expect(engine!.info().notices).toEqual([
    expect.stringMatching(
      /^\d+ keys and values .* larger than f16 holds .*: they are stored as f32/,
    ),
  ]);
  // Once.
  expect(worst(await engine!.conversation("b").nll(fixture.tokens, { chunk }))).toBeLessThan(1e-3);
  expect(engine!.info().notices.length).toBe(1);
});

test("an answer goes on as if it had been f32 from the start, others with it", async () => {
  const options = { maxTokens: 6, sampling: GREEDY };
  const answer = async (id: string): Promise<number[]> => {
    const tokens: number[] = [];
    const prompt = fixture.tokens.slice(0, 24);
    for await (const token of engine!.conversation(id).generate(prompt, options))
      tokens.push(token);
    return tokens;
  };
  await load({ kv: "f32" });
  const expected = await answer("a");
  await engine!.close();
  // One of the two runs on while the other replaces the device, which takes what belongs to it along: a real one.
  await load({}, undefined, create([]));
  expect(await Promise.all([answer("a"), answer("b")])).toEqual([expected, expected]);
  expect(engine!.info().kv).toBe("f32");
  expect(engine!.conversation("a").usage().tokensSeen).toBeGreaterThanOrEqual(24 + 5);
});

test("f16 that was asked for stays, and says what is cut", async () => {
  await load({ kv: "f16" });
  const nll = await engine!.conversation("a").nll(fixture.tokens, { chunk: 20 });
  expect(worst(nll)).toBeGreaterThan(1e-2);
  expect(engine!.info().kv).toBe("f16");
  expect(engine!.info().notices).toEqual([
    expect.stringMatching(/^\d+ keys and values .* were cut, .* use cache.kv "f32" or "q8"$/),
  ]);
});

test("q8 holds them", async () => {
  await load({ kv: "q8" });
  const nll = await engine!.conversation("a").nll(fixture.tokens, { chunk: 1 });
  expect(worst(nll)).toBeLessThan(1e-1);
  expect(engine!.info().notices).toEqual([]);
});

test("without the memory for f32 the pages stay f16, and the notice comes", async () => {
  await load({});
  const { total, kv } = engine!.memory();
  await engine!.close();
  const f16 = 4 * 2 * 64 * (4 * 16 + 8); // L G pages of 64 slots
  await load({}, total - kv + f16 + 10_000);
  await engine!.conversation("a").nll(fixture.tokens, { chunk: 20 });
  expect(engine!.info().kv).toBe("f16");
  expect(engine!.info().notices).toEqual([expect.stringContaining("were cut")]);
});

test("another storage cannot be configured later", async () => {
  await load({ kv: "q8" });
  const conversation = engine!.conversation("a");
  await expect(conversation.configure({ kv: "f16" })).rejects.toMatchObject({
    code: "invalid_argument",
    message: expect.stringContaining("cache.kv"),
    hint: expect.stringContaining("another engine"),
  });
  await expect(conversation.configure({ kv: "q8", budget: 32 })).resolves.toMatchObject({
    budget: 32,
  });
});
