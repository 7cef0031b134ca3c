/** LagKV where chunks change in mid-chat, and where text is taken back: scores are those of the present chunks. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import { scoringTurn } from "../../../src/cache/policies/scoring-id.ts";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { PAGE_SLOTS } from "../../../src/kernels/pages/page-format.ts";
import { positionWord, scoreWord } from "../../reference/twins/pages/paged-slab.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

const TOKENS = someTokens(150, 33);
let engine: InferenceEngine;
beforeAll(async () => {
  engine = await loadTinyEngine({ kv: "f32" });
  Object.assign(engine.tokenizer, { endTokens: new Set() });
});
afterAll(() => engine?.close());
afterEach(() => checkCache(engine));

const fresh = (cache: CacheOptions): Promise<Conversation> =>
  freshChat(engine, { policy: "lag-kv", ...cache });

const keptOf = async (chat: Conversation): Promise<number[]> => (await chat.retention()).kept;

/** Every pair's position and score, of each (layer, kv head). */
async function pairsOf(chat: Conversation): Promise<{ position: number; score: number }[][]> {
  const { gpu, pool } = engine.internals.state;
  const { lane } = chat.place.live;
  const { layers, kvHeads } = pool.shape;
  const tables = new Uint32Array(await gpu.read(pool.tables));
  const format = { ...pool.shape, pageSlots: PAGE_SLOTS };
  const heads: { position: number; score: number }[][] = [];
  for (let layer = 0; layer < layers; layer += 1) {
    const words = new Uint32Array(await gpu.read(pool.slabs[layer]!));
    const floats = new Float32Array(words.buffer);
    for (let g = 0; g < kvHeads; g += 1) {
      const row = pool.rowWord(lane, layer, g);
      heads.push(
        Array.from({ length: tables[row]! }, (_, slot) => {
          const page = tables[row + 2 + Math.floor(slot / PAGE_SLOTS)]!;
          return {
            position: words[positionWord(format, page, slot)]!,
            score: floats[scoreWord(format, page, slot)]!,
          };
        }),
      );
    }
  }
  return heads;
}

test("a smaller budget keeps what it would have kept from the start, its chunks being smaller", async () => {
  const wanted = await fresh({ budget: 64 });
  await ask(wanted, TOKENS, { maxTokens: 0 });
  for (const first of ["full", 200] as const) {
    const chat = await fresh({ budget: first });
    await ask(chat, TOKENS, { maxTokens: 0 });
    await chat.configure({ budget: 64 });
    expect(await keptOf(chat)).toEqual(await keptOf(wanted));
  }
});

test("so does one under which nothing has to go yet", async () => {
  // Chunks of 38 were complete at 118 tokens, and are again at 156: after the first eviction.
  const wanted = await fresh({ budget: 152 });
  const { answer } = await ask(wanted, TOKENS, { maxTokens: 12 });
  const chat = await fresh({ budget: 200 });
  await ask(chat, TOKENS, { maxTokens: 0 });
  await chat.configure({ budget: 152 });
  expect(chat.usage().pairsEvicted).toBe(0);
  // Two chunks have a next one that is complete.
  for (const pairs of await pairsOf(chat))
    for (const { position, score } of pairs)
      if (position >= 4) expect(score < 1).toBe(position < 80);
  expect((await ask(chat, TOKENS, { maxTokens: 12 })).answer).toEqual(answer);
  expect(chat.usage()).toEqual(wanted.usage());
  expect(chat.usage().pairsEvicted).toBeGreaterThan(0);
  expect(await keptOf(chat)).toEqual(await keptOf(wanted));
});

test("a text that is taken back leaves no scores behind", async () => {
  const cache = { budget: 100, window: 25 };
  const other = [...TOKENS.slice(0, 60), ...someTokens(60, 35)];
  const wanted = await fresh(cache);
  await ask(wanted, other, { maxTokens: 0 });
  const chat = await fresh(cache);
  await ask(chat, TOKENS.slice(0, 95), { maxTokens: 0 });
  expect(chat.usage().pairsEvicted).toBe(0);
  await ask(chat, other, { maxTokens: 0 });
  expect(await keptOf(chat)).toEqual(await keptOf(wanted));
});

test("whatever is changed in mid-chat, no pair is left without a score for longer than two chunks", async () => {
  const chat = await fresh({ budget: 64 });
  await ask(chat, TOKENS, { maxTokens: 50 });
  const changes: CacheOptions[] = [
    { budget: 96, window: 20 },
    { sinks: 2 },
    { policy: "keydiff" },
    { policy: "lag-kv", window: 7 },
    { budget: 40 },
    { budget: "full" },
    { budget: 80, window: 19, sinks: 5 },
    { policy: "random", budget: 60 },
    { policy: "lag-kv" },
  ];
  for (const change of changes) {
    await chat.configure(change);
    await ask(chat, [...chat.tokens, 5, 6, 7], { maxTokens: 50 });
    const { settings } = chat.place.live;
    if (settings.policy !== "lag-kv" || settings.budget === "full") continue;
    const { every: lag } = scoringTurn(settings);
    const { tokensSeen } = chat.usage();
    const due = settings.sinks + Math.floor((tokensSeen - settings.sinks) / lag) * lag;
    for (const pairs of await pairsOf(chat)) {
      const ranked = pairs.filter(({ position }) => position >= settings.sinks && position < due);
      expect(ranked.some(({ score }) => score < 1)).toBe(true);
      const late = ranked.filter(({ position, score }) => score >= 1 && position < due - 2 * lag);
      expect(late, JSON.stringify(change)).toEqual([]);
      // Those whose next chunk is not complete all are there, by their positions.
      const recent = pairs.filter(({ position }) => position >= due);
      expect(recent).toHaveLength(tokensSeen - due);
      expect(recent.every(({ position, score }) => score === position)).toBe(true);
    }
  }
});
