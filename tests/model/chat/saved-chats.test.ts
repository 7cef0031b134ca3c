import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { CacheOptions } from "../../../src/cache/budget.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { BlobSource, MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
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

test("a chat of a model with sliding windows, and pages of q8, is saved and loaded", async () => {
  const load = () =>
    InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyModel("gemma3"), "gemma.gguf"),
      name: "gemma",
      cache: { budget: 48, policy: "k-norm", kv: "q8" },
    });
  const [engine, other] = [await load(), await load()];
  const chat = engine.conversation("a");
  const prompt = someTokens(200, 4);
  const { answer } = await ask(chat, prompt, { maxTokens: 20 });
  const loaded = other.conversation("b");
  await loaded.load(source(await chat.save(TINY)), TINY);
  const told = [...prompt, ...answer];
  expect(await goOn(loaded, told)).toEqual(await goOn(chat, told));
  await engine.close();
  await other.close();
});
