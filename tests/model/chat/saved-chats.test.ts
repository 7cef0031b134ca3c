import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import { POLICY_NAMES } from "../../../src/cache/policies/index.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import type { EngineLoadOptions } from "../../../src/engine/load.ts";
import { BlobSource, MemorySource } from "../../../src/formats/blob-source.ts";
import { type TINY_MODELS, tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

const source = (file: Blob): BlobSource => new BlobSource(file, "chat.winnow");

/** The next answers of a chat, greedy and seeded, and what it has then. */
async function goOn(chat: Conversation, from: readonly number[]) {
  const next = [...from, ...someTokens(9, 50)];
  const greedy = await ask(chat, next, { maxTokens: 40 });
  const more = [...next, ...greedy.answer, ...someTokens(5, 51)];
  const seeded = await ask(chat, more, { maxTokens: 40, sampling: { temperature: 2, seed: 9 } });
  const { kept } = await chat.retention();
  return { greedy, seeded, kept, usage: chat.usage() };
}

const TINY = { name: "tiny", sha256: "" };

const CACHES: [string, CacheOptions][] = [
  ["full", { budget: "full" }],
  ["winnow: heads divided, what was dropped in sum", { budget: 64 }],
  ["q-filters", { budget: 48, policy: "q-filters" }],
  ["h2o, whose scores add up", { budget: 48, policy: "h2o" }],
  ["lag-kv, whose scores change", { budget: 80, policy: "lag-kv" }],
  ["a whole layer", { budget: 48, policy: "k-norm", wholeLayers: 1 }],
];

describe("a saved chat", () => {
  let engine: InferenceEngine;
  let other: InferenceEngine;
  beforeAll(async () => {
    const filters = readFileSync(new URL("../fixtures/policies-tiny.safetensors", import.meta.url));
    const load = () => loadTinyEngine({}, { filters });
    [engine, other] = await Promise.all([load(), load()]);
    for (const { tokenizer } of [engine, other]) Object.assign(tokenizer, { endTokens: new Set() });
  });
  afterAll(async () => {
    await engine?.close();
    await other?.close();
  });
  afterEach(() => [engine, other].forEach(checkCache));

  test.each(CACHES)("goes on elsewhere as if it had never been away: %s", async (_name, cache) => {
    const chat = await freshChat(engine, cache);
    const prompt = someTokens(300, 4);
    const { answer } = await ask(chat, prompt, { maxTokens: 30 });
    const told = [...prompt, ...answer];
    const file = await chat.save(TINY);
    const before = chat.usage();
    expect(file.size).toBeLessThan(before.bytes * 1.05 + 4 * before.tokensSeen + 2048);
    const loaded = freshChat(other);
    await loaded.load(source(file), TINY);
    expect(loaded.usage()).toEqual(before);
    expect(loaded.tokens).toEqual(chat.tokens);
    const expected = await goOn(chat, told);
    expect(await goOn(loaded, told)).toEqual(expected);
    expect(expected.greedy.result?.cachedTokens).toBe(told.length - 1);
  });

  test("goes on from its last row where the whole prompt is cached", async () => {
    const chat = await freshChat(engine, { budget: 48, policy: "q-filters" });
    const prompt = someTokens(200, 6);
    await ask(chat, prompt, { maxTokens: 0 });
    const file = await chat.save(TINY);
    const loaded = freshChat(other);
    await loaded.load(source(file), TINY);
    const { answer, result } = await ask(loaded, prompt, { maxTokens: 20 });
    expect(result?.cachedTokens).toBe(200);
    expect(answer).toEqual((await ask(chat, prompt, { maxTokens: 20 })).answer);
  });

  test("lives on: a fork, other budgets and policies, a lost device", async () => {
    const chat = await freshChat(engine, { budget: 48, policy: "q-filters" });
    const prompt = someTokens(200, 7);
    await ask(chat, prompt, { maxTokens: 10 });
    const loaded = freshChat(other);
    await loaded.load(source(await chat.save(TINY)), TINY);
    const next = [...loaded.tokens, ...someTokens(20, 8)];
    for (const settings of [{ budget: 40 }, { budget: 100 }, { policy: "k-norm" as const }]) {
      for (const one of [chat, loaded]) await one.configure(settings);
      const forks = [chat.fork(), loaded.fork()];
      const [expected, found] = [await goOn(forks[0]!, next), await goOn(forks[1]!, next)];
      expect(found).toEqual(expected);
      for (const fork of forks) await fork.reset();
    }
    other.internals.state.gpu.device.destroy();
    const { result } = await ask(loaded, next, { maxTokens: 4 });
    expect(result?.cachedTokens).toBe(loaded.tokens.length - 3 - 20);
    expect(loaded.tokens.slice(0, next.length)).toEqual(next);
  });

  test("can be saved while it answers only when it has answered, and goes on meanwhile", async () => {
    const chat = await freshChat(engine, { budget: 48, policy: "q-filters" });
    const prompt = someTokens(100, 9);
    const { answer } = await ask(chat, prompt, {
      maxTokens: 5,
      onToken: async (_token, count) => {
        if (count === 2) await expect(chat.save(TINY)).rejects.toMatchObject({ code: "busy" });
        return false;
      },
    });
    const told = [...prompt, ...answer];
    const saving = chat.save(TINY);
    const going = await ask(chat, told, { maxTokens: 30 });
    const loaded = freshChat(other);
    await loaded.load(source(await saving), TINY);
    const again = await ask(loaded, told, { maxTokens: 30 });
    expect(again.answer).toEqual(going.answer);
  });

  test("a chat with nothing in the cache cannot be saved; an abort ends both and changes nothing", async () => {
    const chat = freshChat(engine);
    await expect(chat.save(TINY)).rejects.toMatchObject({
      code: "invalid_argument",
      message: expect.stringMatching(/conversation: nothing of it is in the cache/),
    });
    await ask(chat, someTokens(50, 3), { maxTokens: 3 });
    const before = [chat.usage(), [...chat.tokens]];
    await expect(chat.save(TINY, AbortSignal.abort())).rejects.toMatchObject({ code: "aborted" });
    const file = source(await chat.save(TINY));
    const aborted = chat.load(file, TINY, AbortSignal.abort());
    await expect(aborted).rejects.toMatchObject({ code: "aborted" });
    await expect(chat.load(file, { name: "x", sha256: "1" })).rejects.toMatchObject({
      code: "bad_cache_file",
    });
    expect([chat.usage(), [...chat.tokens]]).toEqual(before);
  });
});

const TRAINED = 512;

/** Two engines of a tiny model that was trained for 512 positions. */
async function twoOf(
  name: keyof typeof TINY_MODELS,
  options: Partial<EngineLoadOptions>,
): Promise<[InferenceEngine, InferenceEngine]> {
  const load = async () => {
    const engine = await InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyModel(name, TRAINED), "tiny.gguf"),
      name,
      ...options,
    });
    Object.assign(engine.tokenizer, { endTokens: new Set() });
    return engine;
  };
  return [await load(), await load()];
}

/** A chat that positions were folded for before it was saved, and again after it was loaded. */
async function checkFolded(
  [engine, other]: readonly [InferenceEngine, InferenceEngine],
  cache: CacheOptions,
): Promise<void> {
  const chat = await freshChat(engine, cache);
  const prompt = someTokens(820, 4);
  const { answer } = await ask(chat, prompt, { maxTokens: 30 });
  const file = await chat.save(TINY);
  const loaded = freshChat(other);
  await loaded.load(source(file), TINY);
  const { folds } = loaded.place.live.books;
  expect(folds).toBeGreaterThan(0);
  expect(loaded.usage()).toEqual(chat.usage());
  const told = [...prompt, ...answer];
  const expected = await goOn(chat, told);
  expect(await goOn(loaded, told)).toEqual(expected);
  expect(loaded.place.live.books.folds).toBeGreaterThan(folds);
  expect(expected.greedy.result?.cachedTokens).toBe(told.length - 1);
  for (const one of [engine, other]) checkCache(one);
  for (const one of [chat, loaded]) await one.reset();
}

describe.each([
  ["f16", POLICY_NAMES],
  ["q8", ["winnow", "lag-kv"]],
  ["f32", ["winnow"]],
] as const)("a saved chat past the trained length, pages of %s", (kv, policies) => {
  let engines: [InferenceEngine, InferenceEngine];
  beforeAll(async () => {
    const filters = readFileSync(new URL("../fixtures/policies-tiny.safetensors", import.meta.url));
    engines = await twoOf("f32", { cache: { kv }, filters });
  });
  afterAll(async () => {
    for (const engine of engines ?? []) await engine.close();
  });

  test.each(policies.filter((name) => name !== "full"))("goes on elsewhere: %s", (policy) =>
    checkFolded(engines, { budget: 96, window: 16, policy }),
  );
});

// Rings and two bases of RoPE, then layers without positions; of the others a file has nothing that these lack.
test.each([
  ["gemma3", "q8"],
  ["smollm3", "f16"],
] as const)("a saved chat of %s past the trained length goes on, pages of %s", async (name, kv) => {
  const engines = await twoOf(name, { cache: { kv } });
  await checkFolded(engines, { budget: 48, policy: "k-norm" });
  for (const engine of engines) await engine.close();
});
