import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { Conversation } from "../../../src/engine/chat/conversation.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { ask, someTokens } from "../chat.ts";
import { keptPositions } from "../kept-positions.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

describe("a system message", () => {
  let engine: InferenceEngine;
  beforeAll(async () => {
    engine = await loadTinyEngine({ budget: 64, policy: "streaming-llm", window: 16 });
    Object.assign(engine.tokenizer, { endTokens: new Set() });
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  /** How many of the first tokens every head of every layer keeps. */
  const kept = async (chat: Conversation): Promise<number> => {
    const { state } = engine.internals;
    const heads = (await keptPositions(state, chat.place.live)).flat();
    return Math.min(...heads.map((head) => head.findIndex((position, i) => position !== i)));
  };

  test("stays in every head, as far as it fits into a quarter of what the window leaves", async () => {
    for (const [system, stays] of [
      [0, 4],
      [3, 4],
      [9, 9],
      [12, 12],
      [200, 12],
    ] as const) {
      const chat = freshChat(engine);
      // Prompts are compressed by another kernel than answers.
      await ask(chat, someTokens(230, 1), { system, maxTokens: 1 });
      expect(await kept(chat), `${system} after the prompt`).toBe(stays);
      await ask(chat, someTokens(230, 1), { system, maxTokens: 90 });
      expect(await kept(chat), `${system} after the answer`).toBe(stays);
    }
  });

  test("stays under every policy, over turns, in forks, and after the budget has shrunk", async () => {
    for (const policy of ["q-filters", "k-norm", "lag-kv", "random", "h2o"] as const) {
      const chat = await freshChat(engine, { policy, window: 16 });
      const system = 10;
      const first = someTokens(80, 2);
      const { answer } = await ask(chat, first, { system, maxTokens: 40 });
      const fork = chat.fork();
      const second = [...first, ...answer, ...someTokens(60, 3)];
      for (const one of [chat, fork]) {
        await ask(one, second, { system, maxTokens: 30 });
        expect(await kept(one), policy).toBeGreaterThanOrEqual(system);
      }
      await chat.configure({ budget: 48 });
      expect(await kept(chat), policy).toBeGreaterThanOrEqual(8);
      await fork.reset();
    }
  });

  test("is as any other text where nothing is protected", async () => {
    const chat = await freshChat(engine, { protect: "none" });
    await ask(chat, someTokens(230, 1), { system: 12, maxTokens: 8 });
    expect(await kept(chat)).toBe(4);
    expect(chat.usage().protect).toBe("none");
  });

  test("is protected from the next token on where that is asked for later", async () => {
    const chat = await freshChat(engine, { protect: "none" });
    await ask(chat, someTokens(40, 1), { system: 12, maxTokens: 8 });
    await chat.configure({ protect: "system" });
    await ask(chat, someTokens(230, 1), { system: 12, maxTokens: 8 });
    expect(await kept(chat)).toBe(12);
  });
});
