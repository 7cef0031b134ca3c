/** Lanes: sequences that step together, each giving the same bits as alone. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import type { Lane, LaneInput } from "../../../src/engine/measuring/lanes.ts";
import { someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

interface Run {
  cache: CacheOptions;
  tokens: number[];
}

interface Result {
  losses: number[];
  logits: Float32Array;
}

const CACHES: CacheOptions[] = [
  { policy: "full" },
  { policy: "q-filters", budget: 40, window: 8 },
  { policy: "k-norm", budget: 33, window: 4, sinks: 2 },
  { policy: "streaming-llm", budget: 64, window: 32 },
  { policy: "random", budget: 24, window: 4 },
  { policy: "random", budget: 96, window: 16 },
  // Scored anew now and then, each on its own turn.
  { policy: "keydiff", budget: 36, window: 12 },
  { policy: "keydiff", budget: 50, window: 7, wholeLayers: 1 },
  { policy: "h2o", budget: 30, window: 8 },
  { policy: "lag-kv", budget: 40, window: 9 },
];

/** Runs of 70 to 190 tokens: lanes leave at different times. */
const RUNS: Run[] = Array.from({ length: 18 }, (_, i) => ({
  cache: CACHES[i % CACHES.length]!,
  tokens: someTokens(70 + ((i * 53) % 120), i + 1),
}));

describe("lanes", () => {
  let engine: InferenceEngine;
  beforeAll(async () => {
    engine = await loadTinyEngine();
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  /** All runs through one group of lanes: losses of each, and the logits after its last token. */
  const together = (runs: readonly Run[]): Promise<Result[]> =>
    engine.lanes(runs.length, async (lanes) => {
      const open: Lane[] = await Promise.all(runs.map(({ cache }) => lanes.add(cache)));
      const results: Result[] = runs.map(() => ({ losses: [], logits: new Float32Array(0) }));
      const longest = Math.max(...runs.map(({ tokens }) => tokens.length));
      for (let at = 0; at < longest; at += 1) {
        const alive = runs.flatMap(({ tokens }, i) => (at < tokens.length ? [i] : []));
        const inputs = alive.map((i): LaneInput => {
          const target = runs[i]!.tokens[at + 1];
          const input = { lane: open[i]!, token: runs[i]!.tokens[at]! };
          return target === undefined ? input : { ...input, target };
        });
        const logits = alive.some((i) => at === runs[i]!.tokens.length - 1);
        const step = await lanes.step(inputs, { logits });
        alive.forEach((i, place) => {
          if (at < runs[i]!.tokens.length - 1) results[i]!.losses.push(step.losses[place]!);
          else results[i]!.logits = step.logits[place]!.slice();
        });
      }
      return results;
    });

  test("give the same bits alone, in twos and all together, in any order", async () => {
    const all = await together(RUNS);
    for (const [i, run] of RUNS.entries()) {
      const [alone] = await together([run]);
      expect(all[i]!.losses).toEqual(alone!.losses);
      expect(all[i]!.logits).toEqual(alone!.logits);
    }
    const turned = await together([...RUNS].reverse());
    expect(turned.reverse()).toEqual(all);
    const [first, second] = await together([RUNS[5]!, RUNS[1]!]);
    expect([first, second]).toEqual([all[5], all[1]]);
    expect(all.every(({ losses }) => losses.every(Number.isFinite))).toBe(true);
  });

  test("lose what a conversation loses, token by token", async () => {
    // Not k-norm: other kernels round otherwise, and two norms of a random model may be that close.
    const runs = RUNS.slice(0, 6).filter(({ cache }) => cache.policy !== "k-norm");
    const results = await together(runs);
    const chat = engine.conversation("alone");
    for (const [i, { cache, tokens }] of runs.entries()) {
      await chat.configure({ window: 64, sinks: 4, budget: "full", wholeLayers: 0, ...cache });
      const nll = await chat.nll(tokens, { chunk: 1 });
      expect(nll).toHaveLength(results[i]!.losses.length);
      nll.forEach((loss, at) => {
        expect(Math.abs(loss - results[i]!.losses[at]!)).toBeLessThan(2e-3);
      });
    }
    await chat.reset();
  });

  test("a budget as long as the text loses just what the full cache loses", async () => {
    const tokens = someTokens(90, 3);
    const caches: CacheOptions[] = [
      { policy: "full" },
      { policy: "q-filters", budget: 90 },
      { policy: "random", budget: 1000 },
      { policy: "k-norm", budget: 89 },
    ];
    const [full, ...others] = await together(caches.map((cache) => ({ cache, tokens })));
    expect(others[0]).toEqual(full);
    expect(others[1]).toEqual(full);
    // One pair too few: the last token's logits differ, and only they.
    expect(others[2]!.losses).toEqual(full!.losses);
    expect(others[2]!.logits).not.toEqual(full!.logits);
  });

  test("a prompt, then steps: the answer of a conversation", async () => {
    const prompt = someTokens(150, 9);
    const cache: CacheOptions = { policy: "q-filters", budget: 48 };
    const chat = engine.conversation("answer");
    await chat.configure(cache);
    const logits = await chat.logits(prompt);
    await engine.lanes(1, async (lanes) => {
      const lane = await lanes.add(cache);
      expect(await lanes.prefill(lane, prompt)).toEqual(logits);
      const { tokensSeen, pairsKept } = lanes.usage(lane);
      expect([tokensSeen, pairsKept]).toEqual([150, 4 * 48]);
      const step = await lanes.step([{ lane, token: 5 }], { logits: true });
      expect(step.logits).toHaveLength(1);
      expect(step.losses).toEqual(new Float32Array([Number.NaN]));
    });
    await chat.reset();
  });

  test("are freed at the end, also after an error", async () => {
    const before = engine.memory().kv;
    const failing = engine.lanes(4, async (lanes) => {
      await lanes.step([{ lane: await lanes.add({ policy: "full" }), token: 1 }]);
      throw new Error("stop");
    });
    await expect(failing).rejects.toThrow("stop");
    expect(engine.memory().kv).toBe(before);
    await expect(engine.lanes(0, async () => {})).rejects.toMatchObject({
      code: "invalid_argument",
    });
  });
});
