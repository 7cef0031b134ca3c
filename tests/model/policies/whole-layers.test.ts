/** Layers kept whole: what is held, what changes live, what it costs; all layers whole is the uncompressed cache. */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import { readCalibration } from "../../../src/cache/filters-file.ts";
import { headBudgets } from "../../../src/cache/sequence/head-budgets.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { cacheBytes } from "../../../src/engine/memory/footprint.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { remainderBytes } from "../../../src/kernels/pages/page-format.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask, someTokens } from "../chat.ts";
import { keptPositions } from "../kept-positions.ts";
import { checkCache, freshChat, loadTinyEngine, usedBytes } from "../tiny-engine.ts";

const [WINDOW, SINKS, BUDGET] = [16, 4, 64];
const bytes = readFileSync(new URL("../fixtures/policies-tiny.safetensors", import.meta.url));
const cacheOf = (wholeLayers: number, more: CacheOptions = {}): CacheOptions => ({
  policy: "winnow",
  budget: BUDGET,
  window: WINDOW,
  sinks: SINKS,
  wholeLayers,
  ...more,
});
/** Budgets [L][G] of heads under winnow. */
const own = (budget: number, wholeLayers: number): number[][] =>
  headBudgets(readCalibration(bytes).statistics.headLoss!, 2, {
    budget,
    least: WINDOW + SINKS + 1,
    governed: [wholeLayers < 1, wholeLayers < 2],
  });

let engine: InferenceEngine;
beforeAll(async () => {
  engine = await loadTinyEngine({}, { filters: bytes });
  Object.assign(engine.tokenizer, { endTokens: new Set() });
});
afterAll(() => engine?.close());
afterEach(() => checkCache(engine));

const fresh = (cache: CacheOptions): Promise<Conversation> => freshChat(engine, cache);
const countsOf = async (chat: Conversation): Promise<number[][]> => {
  const kept = await keptPositions(engine.internals.state, chat.place.live);
  return kept.map((heads) => heads.map((positions) => positions.length));
};

test.each(["winnow", "q-filters", "snapkv"] as const)(
  "%s with all layers whole is the uncompressed run",
  async (policy) => {
    const prompt = someTokens(150, 3);
    const run = async (cache: CacheOptions) => {
      const chat = await fresh(cache);
      const { answer } = await ask(chat, prompt, { maxTokens: 30 });
      const { pairsKept, pairsEvicted, bytes } = chat.usage();
      const nll = [...(await chat.nll(prompt, { chunk: 1 }))];
      await chat.reset();
      return { answer, pairsKept, pairsEvicted, bytes, nll };
    };
    const full = await run({ policy: "full" });
    expect(await run(cacheOf(2, { policy }))).toEqual(full);
    expect(full.pairsEvicted).toBe(0);
    const other = await run(cacheOf(1, { policy }));
    expect(other.pairsEvicted).toBeGreaterThan(0);
    expect(other.nll).not.toEqual(full.nll);
  },
);

test("whole layers hold every position, heads of the others their budgets; the bytes are those in use", async () => {
  const chat = await fresh(cacheOf(1));
  await ask(chat, someTokens(200, 5), { maxTokens: 41 });
  const seen = chat.usage().tokensSeen;
  const kept = await keptPositions(engine.internals.state, chat.place.live);
  const every = Array.from({ length: seen }, (_, position) => position);
  expect(kept[0]).toEqual([every, every]);
  const budgets = own(BUDGET, 1)[1]!;
  expect(budgets[0]! + budgets[1]!).toBe(2 * BUDGET);
  expect(kept[1]!.map((positions) => positions.length)).toEqual(budgets);
  const pages = [seen, seen, ...budgets].reduce((sum, pairs) => sum + Math.ceil(pairs / 32), 0);
  expect(chat.usage()).toMatchObject({
    wholeLayers: 1,
    pairsKept: 2 * seen + 2 * BUDGET,
    pairsEvicted: 2 * (seen - BUDGET),
    // The layer whose heads drop pairs keeps their sums.
    bytes: usedBytes(pages) + 2 * remainderBytes(engine.internals.state.pool.shape),
  });
  const { heads, kept: retained } = await chat.retention();
  expect(heads).toBe(4);
  expect(Math.min(...retained)).toBe(2);
  await chat.reset();
});

test("more and fewer whole layers while a chat goes on, also of a fork", async () => {
  const chat = await fresh(cacheOf(0));
  await ask(chat, someTokens(150, 6), { maxTokens: 1 });
  const seen = chat.usage().tokensSeen;
  expect(await countsOf(chat)).toEqual(own(BUDGET, 0));
  const more = async (count: number): Promise<void> => {
    await ask(chat, [...chat.tokens, ...someTokens(count, 7)], { maxTokens: 0 });
  };
  // What is there stays, and the layer grows from then on; the other's heads get budgets that add up.
  await chat.configure({ wholeLayers: 1 });
  const other = own(BUDGET, 1)[1]!;
  const first = own(BUDGET, 0)[0]!;
  await more(20);
  const grown = chat.usage().tokensSeen - seen;
  const counts = await countsOf(chat);
  expect(counts[0]).toEqual(first.map((pairs) => pairs + grown));
  counts[1]!.forEach((pairs, g) => {
    expect(pairs).toBeLessThanOrEqual(other[g]!);
  });
  const before = await keptPositions(engine.internals.state, chat.place.live);
  engine.internals.holders.clear();
  const fork = chat.fork();
  await fork.configure({ wholeLayers: 0 });
  expect(await countsOf(fork)).toEqual(own(BUDGET, 0));
  expect(await keptPositions(engine.internals.state, chat.place.live)).toEqual(before);
  await fork.reset();
  await chat.configure({ wholeLayers: 2 });
  await more(10);
  expect((await countsOf(chat))[1]).toEqual(counts[1]!.map((pairs) => pairs + 10));
  await chat.configure({ wholeLayers: 0 });
  expect(await countsOf(chat)).toEqual(own(BUDGET, 0));
  await chat.reset();
});

test.each(["keydiff", "tri-attention"] as const)(
  "%s: a layer that is whole no more is scored before it evicts",
  async (policy) => {
    const prompt = someTokens(62, 8);
    const kept = async (first: number): Promise<number[][][]> => {
      const chat = await fresh(cacheOf(first, { policy }));
      await chat.nll(prompt, { chunk: 1 }); // decodes all but the last
      await chat.configure({ wholeLayers: 0 });
      // Two tokens fit; the third evicts, not yet at the next scoring.
      const { runner, gpu } = engine.internals.state;
      for (const token of [5, 6, 7, 8, 9]) runner.submitToken(chat.place.live, token);
      await gpu.device.queue.onSubmittedWorkDone();
      const found = await keptPositions(engine.internals.state, chat.place.live);
      await chat.reset();
      return found;
    };
    const found = await kept(2);
    for (const positions of found.flat()) expect(positions).toHaveLength(BUDGET);
    // Unscored, all are alike, and the oldest would go.
    expect(found[0]!.some((positions) => positions.includes(SINKS))).toBe(true);
  },
);

test("more layers than the model has are refused, everywhere, and nothing changes", async () => {
  const refused = {
    code: "invalid_argument",
    message: expect.stringMatching(
      /cache\.wholeLayers: must be at most 2, the layers of the model, got 3/,
    ),
  };
  const chat = await fresh(cacheOf(1));
  await expect(chat.configure({ wholeLayers: 3 })).rejects.toMatchObject(refused);
  expect(chat.usage().wholeLayers).toBe(1);
  await expect(engine.lanes(1, (lanes) => lanes.add(cacheOf(3)))).rejects.toMatchObject(refused);
  await expect(loadTinyEngine(cacheOf(3))).rejects.toMatchObject(refused);
});

test("a limit counts whole layers to the model's last position", async () => {
  const { config, storage } = engine.internals;
  const bytesOf = (wholeLayers: number): number =>
    cacheBytes(config, { budget: BUDGET, wholeLayers }, storage);
  const chat = await fresh(cacheOf(0));
  const { host } = engine.internals;
  const { inputs } = host;
  const { kv, total } = engine.memory();
  const limited = (memoryLimit: number) =>
    Object.assign(host, { inputs: { ...inputs, memoryLimit } });
  try {
    limited(total - kv + bytesOf(1) - 1);
    await expect(chat.configure({ wholeLayers: 1 })).rejects.toMatchObject({
      code: "out_of_memory",
      message: expect.stringContaining("64 pairs per head and cache.wholeLayers: 1 needs"),
    });
    expect(chat.usage().wholeLayers).toBe(0);
    limited(total - kv + bytesOf(1));
    expect((await chat.configure({ wholeLayers: 1 })).wholeLayers).toBe(1);
  } finally {
    Object.assign(host, { inputs });
  }
});

describe("a family with sliding windows", () => {
  test("rings stay rings; a global layer among the first is whole", async () => {
    const gemma = await InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyModel("gemma3"), "tiny.gguf"),
      name: "gemma3",
      // Compiles no scoring: heads of 256 take a software adapter long.
      cache: { policy: "k-norm" },
    });
    try {
      const chat = gemma.conversation("a");
      // Of seven layers the sixth is global.
      for (const [wholeLayers, pairs] of [
        [5, 40],
        [6, 120],
      ] as const) {
        await chat.configure({ policy: "k-norm", budget: 40, window: 8, wholeLayers });
        await ask(chat, someTokens(120, 9), { maxTokens: 0 });
        const kept = await keptPositions(gemma.internals.state, chat.place.live);
        expect(kept.map(([head]) => head!.length)).toEqual([13, 13, 13, 13, 13, pairs, 13]);
        expect(chat.usage().pairsKept).toBe(pairs);
        await chat.reset();
      }
      checkCache(gemma);
    } finally {
      await gemma.close();
    }
  });
});
