import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { everyStep } from "../../../src/engine/steps/step-needs.ts";
import { f16ToF32 } from "../../../src/formats/ggml/float16.ts";
import { evictSelect } from "../../reference/twins/pages/evict-select.ts";
import { keyWord, positionWord, scoreWord } from "../../reference/twins/pages/paged-slab.ts";
import { ask, GREEDY, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine, tinyFilters, usedBytes } from "../tiny-engine.ts";

const HEADS = 4; // L x G of the tiny model
const FORMAT = { headDim: 16, pageSlots: 32 };

interface Slot {
  position: number;
  score: number;
  key: Float32Array;
}

describe("the cache of a conversation", () => {
  let engine: InferenceEngine;
  const fresh = (cache: CacheOptions): Promise<Conversation> => freshChat(engine, cache);
  const used = (): number =>
    engine.internals.state.pool.allocators.reduce((sum, { used: pages }) => sum + pages, 0);

  beforeAll(async () => {
    engine = await loadTinyEngine();
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  /** Checks that the chat's figures are those of `pairs` a head. */
  const checkFigures = async (
    chat: Conversation,
    pairs: number,
    window = chat.settings.window,
  ): Promise<void> => {
    checkCache(engine);
    const { pairsKept, pairsEvicted, tokensSeen, bytes, bytesUncompressed } = chat.usage();
    expect(pairsKept).toBe(HEADS * pairs);
    expect(pairsKept + pairsEvicted).toBe(HEADS * tokensSeen);
    expect(bytesUncompressed).toBe(tokensSeen * HEADS * 16 * 2 * 2);
    const pages = (bytes - usedBytes(0)) / (usedBytes(1) - usedBytes(0));
    // Pages are taken when the first slot in them is: none is held for later.
    expect(pages).toBe(HEADS * Math.ceil(pairs / 32));
    const { heads, tokens, kept } = await chat.retention();
    expect(heads).toBe(HEADS);
    expect(tokens).toHaveLength(tokensSeen);
    expect(kept).toHaveLength(tokensSeen);
    expect(kept.reduce((sum, n) => sum + n, 0)).toBe(pairsKept);
    expect(Math.max(...kept)).toBeLessThanOrEqual(HEADS);
    expect(kept.slice(-window)).toEqual(new Array(window).fill(HEADS));
    const { sinks } = chat.settings;
    expect(kept.slice(0, sinks)).toEqual(new Array(sinks).fill(HEADS));
  };

  test("usage tells the window and sinks in force, which stay the policy's own until they are asked for", async () => {
    const chat = await fresh({ budget: 160 });
    expect(chat.usage()).toMatchObject({ window: 64, sinks: 4 });
    expect(await chat.configure({ policy: "lag-kv" })).toMatchObject({ window: 40, sinks: 4 });
    await ask(chat, someTokens(60, 3), { maxTokens: 1 });
    const { window, sinks } = chat.usage();
    expect({ window, sinks }).toEqual({ window: 40, sinks: 4 });
    expect(await chat.configure({ policy: "keydiff" })).toMatchObject({ window: 64, sinks: 4 });
    expect(await chat.configure({ budget: 48 })).toMatchObject({ window: 24 });
    expect(await chat.configure({ window: 30, sinks: 2 })).toMatchObject({ window: 30, sinks: 2 });
    expect(await chat.configure({ policy: "lag-kv" })).toMatchObject({ window: 30, sinks: 2 });
    await chat.reset();
  });

  test("the budget goes down and up while an answer streams", async () => {
    const chat = await fresh({ budget: 160, policy: "k-norm" });
    const prompt = someTokens(200, 11);
    const kv: number[] = [];
    const known = engine.tokenizer.endTokens;
    Object.assign(engine.tokenizer, { endTokens: new Set() });
    const { answer } = await ask(chat, prompt, {
      maxTokens: 110,
      onToken: async (_, count) => {
        const seen = 200 + Math.min(count, 109); // the last token is not run
        if (count === 1) await checkFigures(chat, 160);
        if (count === 10) {
          kv.push(engine.memory().kv);
          await chat.configure({ budget: 50 });
          kv.push(engine.memory().kv);
          await checkFigures(chat, 50);
        }
        if (count === 20) await checkFigures(chat, 50);
        if (count === 30) {
          await chat.configure({ budget: 97 });
          await checkFigures(chat, 50, 25); // what is gone is gone; the window was half the budget
          kv.push(engine.memory().kv);
        }
        if (count === 40) await checkFigures(chat, 60, 35);
        if (count === 90) await checkFigures(chat, 97);
        if (count === 91) await chat.configure({ budget: "full" });
        if (count === 101) await checkFigures(chat, 107, 48);
        if (count === 102) {
          await chat.configure({ budget: 33, window: 20, sinks: 0 });
          await checkFigures(chat, 33);
        }
        if (count % 10 === 5) checkCache(engine);
        expect(chat.usage().tokensSeen).toBe(seen);
        return undefined;
      },
    });
    Object.assign(engine.tokenizer, { endTokens: known });
    expect(answer).toHaveLength(110);
    // 160 pairs are 5 pages per head, 50 are 2: what the slabs held beyond that is given back to the device.
    expect(kv[0]! - kv[1]!).toBeGreaterThanOrEqual(HEADS * 3 * (usedBytes(1) - usedBytes(0) - 4));
    expect(kv[2]).toBe(kv[1]);
    await checkFigures(chat, 33);
    await chat.reset();
  });

  test.each([
    [33, 40],
    [50, 300],
    [96, 96],
    [97, 130],
    [128, 129],
  ])("budget %i after a prompt of %i tokens", async (budget, length) => {
    const chat = await fresh({ budget });
    await ask(chat, someTokens(length, 12), { maxTokens: 1 });
    await checkFigures(chat, Math.min(budget, length));
    await ask(chat, [...chat.tokens, ...someTokens(5, 13)], { maxTokens: 1 });
    await checkFigures(chat, Math.min(budget, length + 5));
    await chat.reset();
    expect(chat.usage()).toMatchObject({ tokensSeen: 0, pairsKept: 0, pairsEvicted: 0, bytes: 0 });
  });

  test("changes that are asked for at once are all made, and a refused one loses none", async () => {
    const chat = await fresh({ budget: 64, policy: "k-norm" });
    await ask(chat, someTokens(70, 13), { maxTokens: 1 });
    const changes = [{ budget: 40 }, { window: 400 }, { window: 10 }, { sinks: 2 }];
    const made = await Promise.allSettled(changes.map((change) => chat.configure(change)));
    expect(made.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
      "fulfilled",
    ]);
    expect(chat.usage()).toMatchObject({ budget: 40, window: 10, sinks: 2, pairsKept: HEADS * 40 });
    expect(chat.asked).toMatchObject({ budget: 40, window: 10, sinks: 2 });
    await chat.reset();
  });

  test("a refused configuration changes nothing", async () => {
    const chat = await fresh({ budget: 64 });
    await ask(chat, someTokens(70, 14), { maxTokens: 1 });
    const before = chat.usage();
    const refused = chat.configure({ budget: 64, window: 64 });
    await expect(refused).rejects.toMatchObject({ code: "invalid_argument" });
    expect(chat.usage()).toEqual(before);
    expect(await chat.configure({})).toEqual(before);
    await chat.reset();
  });

  /** Slots of every (layer, kv head), read from the slabs. */
  const readSlots = async (sequence: KvSequence, count: number): Promise<Slot[][]> => {
    const { gpu, pool } = engine.internals.state;
    const all: Slot[][] = [];
    for (let layer = 0; layer < 2; layer += 1) {
      const words = new Uint32Array(await gpu.read(pool.slabs[layer]!));
      const floats = new Float32Array(words.buffer);
      const pages = sequence.pages.pagesOf(layer);
      const perHead = Math.ceil(count / 32);
      for (let g = 0; g < 2; g += 1) {
        all.push(
          Array.from({ length: count }, (_, s) => {
            const page = pages[g * perHead + Math.floor(s / 32)]!;
            const slot = s % 32;
            const at = keyWord(FORMAT, page, slot);
            const key = Float32Array.from({ length: 16 }, (_, d) =>
              f16ToF32((words[at + (d >> 1)]! >>> (16 * (d % 2))) & 0xffff),
            );
            const position = words[positionWord(FORMAT, page, slot)]!;
            return { position, score: floats[scoreWord(FORMAT, page, slot)]!, key };
          }),
        );
      }
    }
    return all;
  };

  test("another policy scores every cached key anew, and evicts by that", async () => {
    const prompt = someTokens(150, 15);
    const { pool, runner, prompts } = engine.internals.state;
    const filters = tinyFilters();
    const kNorm: CacheOptions = { policy: "k-norm", budget: 100, window: 10, sinks: 2 };
    const sequence = new KvSequence(pool, resolveCacheSettings(kNorm));
    await prompts.read(sequence, prompt, () => {});
    const before = await readSlots(sequence, 100);
    for (const slots of before)
      for (const { key, score } of slots) expect(score).toBeCloseTo(-Math.hypot(...key), 2); // the key was rounded to f16 after scoring
    const qFilters: CacheOptions = { ...kNorm, policy: "q-filters" };
    sequence.setSettings(resolveCacheSettings(qFilters));
    await runner.compiled(everyStep("q-filters", true));
    runner.rescore(sequence);
    const after = await readSlots(sequence, 100);
    const expected = new Array<number>(150).fill(0);
    after.forEach((slots, head) => {
      slots.forEach(({ key, score, position }, s) => {
        expect(position).toBe(before[head]![s]!.position);
        const wanted = -key.reduce((sum, k, d) => sum + k * filters[head * 16 + d]!, 0);
        expect(score).toBeCloseTo(wanted, 4);
      });
      const { kept } = evictSelect({
        slots,
        rows: [],
        capacity: 50,
        window: 10,
        sinks: 2,
        last: 149,
      });
      for (const s of kept) expected[slots[s]!.position]! += 1;
    });
    sequence.setSettings(resolveCacheSettings({ ...qFilters, budget: 50 }));
    runner.shrink(sequence);
    const kept = new Array<number>(150).fill(0);
    for (const slots of await readSlots(sequence, 50))
      for (const { position } of slots) kept[position]! += 1;
    expect(kept).toEqual(expected);
    sequence.free();

    // The same by the conversation's own means.
    const chat = await fresh(kNorm);
    await ask(chat, prompt, { maxTokens: 0 });
    await chat.configure({ policy: "q-filters" });
    await chat.configure({ budget: 50 });
    expect((await chat.retention()).kept).toEqual(expected);
    await chat.reset();
    // In one step.
    const other = await fresh(kNorm);
    await ask(other, prompt, { maxTokens: 0 });
    await other.configure({ policy: "q-filters", budget: 50 });
    expect((await other.retention()).kept).toEqual(expected);
    await other.reset();
  });

  const MANY: { cache: CacheOptions; prompt: number[] }[] = [
    { cache: { budget: "full" }, prompt: someTokens(70, 21) },
    { cache: { budget: 40, policy: "q-filters" }, prompt: someTokens(150, 22) },
    { cache: { budget: 33, policy: "streaming-llm", sinks: 1 }, prompt: someTokens(10, 23) },
    { cache: { budget: 50, policy: "k-norm", window: 7 }, prompt: someTokens(129, 24) },
    { cache: { budget: 64, policy: "random" }, prompt: someTokens(300, 25) },
  ];

  test("conversations side by side give the tokens that each gives alone", async () => {
    const count = 24;
    const alone: number[][] = [];
    for (const { cache, prompt } of MANY) {
      const chat = await fresh(cache);
      alone.push((await ask(chat, prompt, { maxTokens: count })).answer);
      await chat.reset();
    }
    expect(alone.map(({ length }) => length)).toEqual(MANY.map(() => count));
    expect(used()).toBe(0);

    // In turns, token by token.
    const chats = await Promise.all(MANY.map(({ cache }) => fresh(cache)));
    const answers = MANY.map((): number[] => []);
    const steps = chats.map((chat, i) =>
      chat.generate(MANY[i]!.prompt, { sampling: GREEDY, maxTokens: count }),
    );
    for (let n = 0; n <= count; n += 1) {
      for (const [i, step] of steps.entries()) {
        const { done, value } = await step.next();
        if (!done) answers[i]!.push(value);
      }
      if (n % 10 === 0) checkCache(engine);
    }
    expect(answers).toEqual(alone);
    for (const chat of chats) await chat.reset();

    // All at once, each at its own pace.
    const others = await Promise.all(MANY.map(({ cache }) => fresh(cache)));
    const together = await Promise.all(
      others.map((chat, i) => ask(chat, MANY[i]!.prompt, { maxTokens: count })),
    );
    expect(together.map(({ answer }) => answer)).toEqual(alone);
    for (const chat of others) await chat.reset();
    expect(used()).toBe(0);
  });

  test.each<[string, CacheOptions, number]>([
    ["at capacity", { budget: 40, policy: "q-filters" }, 100],
    ["below capacity, in a shared last page", { budget: "full" }, 40],
    ["on a page boundary", { budget: "full" }, 64],
    ["about to be full", { budget: 50, policy: "k-norm" }, 45],
  ])("fork %s: both go on as if they were alone", async (_name, cache, length) => {
    const prompt = someTokens(length, 31);
    const turns = [someTokens(3, 32), someTokens(9, 33)];
    const count = 25;
    // From scratch, without a fork.
    const expected: number[][] = [];
    let head: number[] = [];
    for (const turn of turns) {
      const chat = await fresh(cache);
      head = (await ask(chat, prompt, { maxTokens: 4 })).answer;
      const more = [...prompt, ...head, ...turn];
      expected.push((await ask(chat, more, { maxTokens: count })).answer);
      await chat.reset();
    }

    const first = await fresh(cache);
    await ask(first, prompt, { maxTokens: 4 });
    const alone = used();
    const second = first.fork();
    checkCache(engine);
    expect(second.usage()).toEqual(first.usage());
    expect(second.tokens).toEqual(first.tokens);
    expect(used()).toBe(alone);

    const steps = [first, second].map((chat, i) =>
      chat.generate([...prompt, ...head, ...turns[i]!], { sampling: GREEDY, maxTokens: count }),
    );
    const answers: number[][] = [[], []];
    for (let n = 0; n <= count; n += 1) {
      for (const [i, step] of steps.entries()) {
        const { done, value } = await step.next();
        if (!done) answers[i]!.push(value);
      }
      if (n < 3) checkCache(engine);
    }
    expect(answers).toEqual(expected);
    await first.reset();
    await second.reset();
    expect(used()).toBe(0);
  });

  test("a fork copies only the pages that are written to", async () => {
    const first = await fresh({ budget: "full" });
    await ask(first, someTokens(70, 41), { maxTokens: 0 });
    expect(used()).toBe(HEADS * 3);
    const second = first.fork();
    expect(used()).toBe(HEADS * 3);
    await ask(second, [...second.tokens, 50], { maxTokens: 0 });
    expect(used()).toBe(HEADS * 4); // the last page of each head
    await ask(first, [...first.tokens, 60], { maxTokens: 0 });
    expect(used()).toBe(HEADS * 4); // now its own
    checkCache(engine);
    await first.reset();
    expect(used()).toBe(HEADS * 3);
    await second.reset();
    expect(used()).toBe(0);
  });

  test.each(["first", "second"] as const)(
    "freeing the %s leaves the other intact",
    async (which) => {
      const prompt = someTokens(90, 42);
      const cache: CacheOptions = { budget: 60, policy: "k-norm" };
      const chats = { first: await fresh(cache), second: undefined as unknown as Conversation };
      const more = [...prompt, ...someTokens(5, 45)];
      // Without a fork; a token of a prompt evicts after it attends, so the turns must be the same.
      await ask(chats.first, prompt, { maxTokens: 0 });
      const expected = (await ask(chats.first, more, { maxTokens: 29 })).answer;
      await chats.first.reset();
      await ask(chats.first, prompt, { maxTokens: 0 });
      chats.second = chats.first.fork();
      const other = chats[which === "first" ? "second" : "first"];
      await chats[which].reset();
      checkCache(engine);
      expect(used()).toBe(HEADS * 2);
      const third = other.fork();
      await third.configure({ policy: "q-filters" }); // scores anew what its twin scores otherwise
      checkCache(engine);
      await third.configure({ budget: 20 }); // moves pairs into slots that its twin uses
      checkCache(engine);
      const { answer, result } = await ask(other, more, { maxTokens: 29 });
      expect(result?.cachedTokens).toBe(90);
      expect(answer).toEqual(expected);
      await third.reset();
      await other.reset();
      expect(used()).toBe(0);
    },
  );

  test("fork by name replaces what had the name", async () => {
    const from = engine.conversation("from");
    await ask(from, someTokens(40, 43), { maxTokens: 1 });
    await ask(engine.conversation("to"), someTokens(100, 44), { maxTokens: 1 });
    await engine.fork("from", "to");
    expect(engine.conversation("to").tokens).toEqual(from.tokens);
    checkCache(engine);
    await expect(engine.fork("nobody", "to")).rejects.toMatchObject({ code: "invalid_argument" });
    await expect(engine.fork("from", "from")).rejects.toMatchObject({ code: "internal" });
    await from.reset();
    await engine.conversation("to").reset();
    expect(used()).toBe(0);
  });
});
