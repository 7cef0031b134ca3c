import { afterAll, beforeAll, expect, test } from "vitest";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

const CACHE = { budget: 48, policy: "k-norm", window: 16 } as const;
let whole: InferenceEngine;

beforeAll(async () => {
  whole = await loadTinyEngine(CACHE);
});
afterAll(() => whole?.close());

/** An engine that is asked before all its kernels are compiled. */
async function early<T>(use: (engine: InferenceEngine) => Promise<T>): Promise<T> {
  const engine = await loadTinyEngine(CACHE, { early: true });
  const { waiting } = engine.internals.state.gpu.kernels as unknown as { waiting: Set<unknown> };
  expect(waiting.size).toBeGreaterThan(0);
  try {
    const result = await use(engine);
    checkCache(engine);
    return result;
  } finally {
    await engine.close();
  }
}

test.each([
  ["a short prompt", 20],
  ["a prompt whose end is a few rows", 130],
  ["a prompt that evicts", 300],
])("an engine that is ready early answers as one that is whole: %s", async (_name, length) => {
  const prompt = someTokens(length, length);
  const expected = await ask(whole.conversation(`chat ${length}`), prompt, { maxTokens: 40 });
  const found = await early((engine) =>
    ask(engine.conversation("chat"), prompt, { maxTokens: 40 }),
  );
  expect(found.answer).toEqual(expected.answer);
});

test("a device that is lost before all kernels are compiled is replaced, and the answer goes on", async () => {
  const prompt = someTokens(20, 3);
  const expected = await ask(whole.conversation("lost"), prompt, { maxTokens: 20 });
  const found = await early((engine) =>
    ask(engine.conversation("chat"), prompt, {
      maxTokens: 20,
      onToken: (_, count) => {
        if (count === 1) engine.internals.state.gpu.device.destroy();
        return false;
      },
    }),
  );
  expect(found.answer).toEqual(expected.answer);
});

test("settings may change, measurements and lanes run, before all kernels are compiled", async () => {
  const tokens = someTokens(60, 7);
  const logits = await whole.conversation("logits").logits(tokens, { chunk: 1 });
  expect(
    await early((engine) => engine.conversation("logits").logits(tokens, { chunk: 1 })),
  ).toEqual(logits);
  const kept = await early(async (engine) => {
    const chat = engine.conversation("chat");
    await ask(chat, tokens, { maxTokens: 1 });
    return (await chat.configure({ budget: 33, policy: "keydiff" })).pairsKept;
  });
  expect(kept).toBe(33 * 4);
  await early((engine) => engine.lanes(2, async (lanes) => void (await lanes.add(CACHE))));
});
