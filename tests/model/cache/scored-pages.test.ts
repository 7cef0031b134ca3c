/** Scores in pages that a fork shares, and scores of a whole cache that has no bound. */
import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import type { PolicyName } from "../../../src/cache/policies/index.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { everyStep } from "../../../src/engine/steps/step-needs.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

const HEADS = 4; // L x G of the tiny model
const WINDOW = 16;
const SINKS = 4;
const TOKENS = someTokens(300, 71);

let engine: InferenceEngine;
beforeAll(async () => {
  const filters = readFileSync(new URL("../fixtures/policies-tiny.safetensors", import.meta.url));
  // What is scored anew is then just what was scored as it was written.
  engine = await loadTinyEngine({ kv: "f32" }, { filters });
});
afterAll(() => engine?.close());
afterEach(() => checkCache(engine));

const used = (): number =>
  engine.internals.state.pool.allocators.reduce((sum, { used: pages }) => sum + pages, 0);

const start = async (policy: PolicyName, budget: number): Promise<KvSequence> => {
  const { pool, runner } = engine.internals.state;
  await runner.compiled(everyStep(policy));
  return new KvSequence(
    pool,
    resolveCacheSettings({ policy, budget, window: WINDOW, sinks: SINKS }),
  );
};

const prefill = (sequence: KvSequence, count: number): Promise<void> => {
  const { tokensSeen } = sequence;
  const tokens = TOKENS.slice(tokensSeen, tokensSeen + count);
  return engine.internals.state.prompts.read(sequence, tokens, () => {});
};

const decode = (sequence: KvSequence, count: number): void => {
  for (let i = 0; i < count; i += 1)
    engine.internals.state.runner.submitToken(sequence, TOKENS[sequence.tokensSeen]!);
};

/** Every word of a sequence's pages, layer by layer. */
const wordsOf = async (sequence: KvSequence): Promise<Uint32Array[]> => {
  const { gpu, pool } = engine.internals.state;
  const size = pool.pageBytes / 4;
  const layers = await Promise.all(
    pool.slabs.map(async (slab, layer) => {
      const words = new Uint32Array(await gpu.read(slab));
      return sequence.pages
        .pagesOf(layer)
        .map((page) => words.slice(page * size, (page + 1) * size));
    }),
  );
  return layers.flat();
};

describe.each(["winnow", "tri-attention", "keydiff", "lag-kv", "k-norm", "snapkv", "h2o"] as const)(
  "%s: what one fork does to its scores, the other does not see",
  (policy) => {
    test.each<[string, number, number, (fork: KvSequence) => Promise<void> | void]>([
      ["a chunk that fits, scored for what comes after it", 60, 96, (fork) => prefill(fork, 30)],
      ["a chunk that does not fit", 60, 64, (fork) => prefill(fork, 30)],
      ["a block", 60, 64, (fork) => prefill(fork, 150)],
      ["a step that scores before it evicts", 64, 70, (fork) => decode(fork, 1)],
      ["steps that evict", 60, 64, (fork) => decode(fork, 25)],
    ])("%s", async (_name, tokens, budget, act) => {
      const sequence = await start(policy, budget);
      await prefill(sequence, tokens);
      const before = await wordsOf(sequence);
      const fork = sequence.fork();
      await act(fork);
      expect(await wordsOf(sequence)).toEqual(before);
      expect(sequence.usage().pairsKept).toBe(HEADS * tokens);
      fork.free();
      sequence.free();
    });
  },
);

test.each([
  ["winnow", 1],
  ["tri-attention", 1],
  ["k-norm", 1],
  // Attention that was seen is left in every slot.
  ["snapkv", 2],
] as const)("%s: of two pages a head a fork that has room copies %i", async (policy, copied) => {
  const sequence = await start(policy, 200);
  await prefill(sequence, 60);
  expect(used()).toBe(2 * HEADS);
  const fork = sequence.fork();
  await prefill(fork, 4);
  expect(used()).toBe((2 + copied) * HEADS);
  fork.free();
  sequence.free();
});

test.each(["k-norm", "q-filters", "random", "keydiff", "lag-kv", "winnow"] as const)(
  "a change to %s scores a cache without a bound, and a budget then keeps what it would have kept",
  async (policy) => {
    const kept = async (first: PolicyName): Promise<number[]> => {
      engine.internals.holders.clear(); // nothing to share
      const chat = engine.conversation(`from ${first}`);
      await chat.configure({ policy: first, budget: "full", window: WINDOW, sinks: SINKS });
      await ask(chat, TOKENS.slice(0, 150), { maxTokens: 0 });
      await chat.configure({ policy });
      expect(chat.usage().pairsEvicted).toBe(0);
      await chat.configure({ budget: 64 });
      expect(chat.usage().pairsKept).toBe(64 * HEADS);
      const { kept: heads } = await chat.retention();
      await chat.reset();
      return heads;
    };
    const wanted = await kept(policy);
    expect(await kept("streaming-llm")).toEqual(wanted);
    // Unlike what is kept by scores that are none of this policy's.
    expect(wanted.slice(SINKS, 90).some((heads) => heads > 0)).toBe(true);
  },
);
