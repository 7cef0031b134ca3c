import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

const CACHE = { budget: 48, policy: "q-filters" } as const;

describe("a chat that has evicted", () => {
  let engine: InferenceEngine;
  beforeAll(async () => {
    engine = await loadTinyEngine(CACHE);
    Object.assign(engine.tokenizer, { endTokens: new Set() });
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));
  const first = someTokens(150, 1);

  test("answers anew with nothing read again, as if it had never answered", async () => {
    const chat = freshChat(engine);
    const seeded = { sampling: { temperature: 2, seed: 3 }, maxTokens: 40 };
    await ask(chat, first, { maxTokens: 60 });
    for (let times = 0; times < 2; times += 1) {
      const retried = await ask(chat, first, seeded);
      expect(retried.result?.cachedTokens).toBe(150);
      expect(retried.answer).toEqual((await ask(freshChat(engine), first, seeded)).answer);
    }
  });

  test("reads of an edited last message only what is new, as if the other had never been sent", async () => {
    const chat = freshChat(engine);
    const twin = freshChat(engine);
    const { answer } = await ask(chat, first, { maxTokens: 40 });
    await ask(twin, first, { maxTokens: 40 });
    const told = [...first, ...answer];
    await ask(chat, [...told, ...someTokens(30, 2)], { maxTokens: 40 });
    for (const seed of [3, 4]) {
      const edited = [...told, ...someTokens(25, seed)];
      const again = await ask(chat, edited, { maxTokens: 30 });
      expect(again.result?.cachedTokens).toBe(told.length - 1);
      if (seed === 3)
        expect(again.answer).toEqual((await ask(twin, edited, { maxTokens: 30 })).answer);
      const retried = await ask(chat, edited, { maxTokens: 30 });
      expect(retried.result?.cachedTokens).toBe(edited.length);
      expect(retried.answer).toEqual(again.answer);
    }
  });

  test("goes on from the question where a template strips what was thought", async () => {
    const chat = freshChat(engine);
    await ask(chat, first, { maxTokens: 60 });
    const stripped = [...first, ...someTokens(20, 5)];
    const { result } = await ask(chat, stripped, { maxTokens: 5 });
    expect(result?.cachedTokens).toBe(150);
  });

  test("answers anew in a fork with nothing read again, and in the chat itself after that", async () => {
    const chat = freshChat(engine);
    const seeded = { sampling: { temperature: 2, seed: 3 }, maxTokens: 40 };
    await ask(chat, first, { maxTokens: 60 });
    const fork = chat.fork();
    const expected = (await ask(freshChat(engine), first, seeded)).answer;
    for (const one of [fork, chat]) {
      const { answer, result } = await ask(one, first, seeded);
      expect(result?.cachedTokens).toBe(150);
      expect(answer).toEqual(expected);
    }
    await fork.reset();
  });

  test("answers anew with nothing read again where settings were set to what they are", async () => {
    const chat = freshChat(engine);
    await ask(chat, first, { maxTokens: 60 });
    await chat.configure(CACHE);
    expect((await ask(chat, first, { maxTokens: 5 })).result?.cachedTokens).toBe(150);
    await chat.configure({ budget: 40 });
    expect((await ask(chat, first, { maxTokens: 5 })).result?.cachedTokens).toBe(0);
  });

  test("is as it was before where a long prompt is given up in the middle of a block", async () => {
    const chat = freshChat(engine);
    const twin = freshChat(engine);
    const { answer } = await ask(chat, first, { maxTokens: 40 });
    await ask(twin, first, { maxTokens: 40 });
    const told = [...first, ...answer];
    const abort = new AbortController();
    const reading = ask(chat, [...told, ...someTokens(400, 9)], {
      signal: abort.signal,
      onPrefill: () => abort.abort(),
    });
    await expect(reading).rejects.toMatchObject({ code: "aborted" });
    const next = [...told, ...someTokens(9, 5)];
    const found = await ask(chat, next, { maxTokens: 20 });
    expect(found.result?.cachedTokens).toBe(told.length - 1);
    expect(found.answer).toEqual((await ask(twin, next, { maxTokens: 20 })).answer);
  });

  test("gives up what it could go back to before any chat gives way, and with the chat", async () => {
    const chat = freshChat(engine);
    const { pool } = engine.internals.state;
    const used = () => pool.allocators.reduce((sum, { used: pages }) => sum + pages, 0);
    const before = used();
    await ask(chat, first, { maxTokens: 60 });
    const { bytes } = chat.usage();
    const pages = used();
    expect(engine.internals.holders.giveWay()).toBe(true);
    // Every page was evicted from, so each state had all of its own: 2 pages in each of 4 heads.
    expect(pages - used()).toBe(8);
    expect(chat.usage()).toMatchObject({ bytes, tokensSeen: 209 });
    expect(engine.takeGaveWay()).toEqual([]);
    expect((await ask(chat, first, { maxTokens: 20 })).result?.cachedTokens).toBe(0);
    await chat.reset();
    expect(used()).toBe(before);
  });
});

test("where there is no room for what it could go back to, a chat goes on without", async () => {
  const turns = async (engine: InferenceEngine): Promise<number[]> => {
    Object.assign(engine.tokenizer, { endTokens: new Set() });
    const chat = freshChat(engine);
    const asked = someTokens(150, 1);
    const { answer } = await ask(chat, asked, { maxTokens: 40 });
    const more = [...asked, ...answer, ...someTokens(20, 2)];
    return (await ask(chat, more, { maxTokens: 40 })).answer;
  };
  const roomy = await loadTinyEngine(CACHE);
  const expected = await turns(roomy);
  const { holders, state } = roomy.internals;
  while ([...holders].some(({ spare }) => spare)) holders.giveWay();
  state.pool.trim();
  // What the chat holds alone and what passing buffers take, but no copy of a layer's four pages.
  const memoryLimit = roomy.memory().total + 5 * state.pool.pageBytes;
  roomy.close();
  const tight = await loadTinyEngine(CACHE, { memoryLimit });
  expect(await turns(tight)).toEqual(expected);
  checkCache(tight);
  tight.close();
});
