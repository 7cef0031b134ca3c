import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { create } from "webgpu";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";
import { type WatchedGpu, watchedGpu } from "../watched-gpu.ts";

describe("a lost device", () => {
  let watched: WatchedGpu;
  let engine: InferenceEngine;
  const prompt = someTokens(150, 61);

  beforeEach(async () => {
    watched = watchedGpu(create([]));
    engine = await loadTinyEngine({ budget: "full" }, { gpu: watched.gpu });
  });
  afterEach(() => engine?.close());

  const checkMemory = (): void => {
    checkCache(engine);
    expect(engine.memory().total).toBe(watched.bytes());
  };

  test("is replaced in mid-answer, and the answer goes on as if nothing had happened", async () => {
    const { answer } = await ask(engine.conversation("a"), prompt, { maxTokens: 24 });
    const sampling = { temperature: 1.5, seed: 7, repetitionPenalty: 1.2, frequencyPenalty: 0.5 };
    const sampled = await ask(engine.conversation("b"), prompt, { maxTokens: 16, sampling });

    const chat = engine.conversation("c");
    const disturbed = await ask(chat, prompt, {
      maxTokens: 24,
      onToken: (_, count) => {
        if (count === 8) watched.device().destroy();
        return undefined;
      },
    });
    expect(watched.devices()).toBe(2);
    expect(disturbed.answer).toEqual(answer);
    expect(disturbed.result).toEqual({ finish: "length", cachedTokens: 149, promptTokens: 150 });
    expect(chat.usage()).toMatchObject({ tokensSeen: 173, pairsKept: 4 * 173, pairsEvicted: 0 });
    checkMemory();
    // Caches of other chats are gone with the device; their next turn runs everything again.
    expect(engine.conversation("a").usage()).toMatchObject({ tokensSeen: 0, bytes: 0 });
    await engine.conversation("a").configure({ budget: 64 });
    await engine.conversation("a").configure({ budget: "full" });
    const more = [...prompt, ...answer, 77];
    engine.internals.holders.clear(); // it would share the pages of "c"
    const next = await ask(engine.conversation("a"), more, { maxTokens: 5 });
    expect(next.result?.cachedTokens).toBe(0);
    expect(await ask(chat, more, { maxTokens: 5 })).toMatchObject({ answer: next.answer });

    // Random numbers and penalties go on where they were, too.
    const again = await ask(engine.conversation("d"), prompt, {
      maxTokens: 16,
      sampling,
      onToken: (_, count) => {
        if (count === 6) watched.device().destroy();
        return undefined;
      },
    });
    expect(watched.devices()).toBe(3);
    expect(again.answer).toEqual(sampled.answer);
    checkMemory();
  });

  test("between turns, in a prompt, and under several answers at once", async () => {
    const expected = (await ask(engine.conversation("a"), prompt, { maxTokens: 12 })).answer;
    // Between turns: nobody has noticed yet.
    watched.device().destroy();
    const more = [...prompt, ...expected];
    const second = (await ask(engine.conversation("a"), more, { maxTokens: 12 })).answer;
    expect(watched.devices()).toBe(2);
    // Between two chunks of a prompt.
    let destroyed = false;
    const inPrompt = await ask(engine.conversation("b"), prompt, {
      maxTokens: 12,
      onPrefill: () => {
        if (!destroyed) watched.device().destroy();
        destroyed = true;
      },
    });
    expect(inPrompt.answer).toEqual(expected);
    expect(watched.devices()).toBe(3);
    // Three answers at once: one new device for all.
    const together = await Promise.all(
      ["c", "d", "e"].map((name, i) =>
        ask(engine.conversation(name), i === 2 ? more : prompt, {
          maxTokens: 12,
          onToken: (_, count) => {
            if (i === 1 && count === 5) watched.device().destroy();
            return undefined;
          },
        }),
      ),
    );
    expect(together.map(({ answer }) => answer)).toEqual([expected, expected, second]);
    expect(watched.devices()).toBe(4);
    checkMemory();
    // Figures that read the GPU.
    const before = await engine.conversation("c").nll(prompt, { chunk: 128 });
    watched.device().destroy();
    expect(await engine.conversation("c").nll(prompt, { chunk: 128 })).toEqual(before);
    watched.device().destroy();
    const { tokens, kept } = await engine.conversation("c").retention();
    expect(tokens).toHaveLength(kept.length);
    checkMemory();
  });

  test("that cannot be replaced is an error of its own; the chat can be tried again", async () => {
    const { requestAdapter } = watched.gpu;
    const chat = engine.conversation("a");
    const failing = ask(chat, prompt, {
      onToken: (_, count) => {
        if (count === 3) {
          watched.gpu.requestAdapter = async () => null;
          watched.device().destroy();
        }
        return undefined;
      },
    });
    await expect(failing).rejects.toMatchObject({ code: "device_lost" });
    watched.gpu.requestAdapter = requestAdapter;
    const { answer } = await ask(chat, prompt, { maxTokens: 6 });
    expect(answer).toEqual((await ask(engine.conversation("b"), prompt, { maxTokens: 6 })).answer);
    checkMemory();
  });
});
