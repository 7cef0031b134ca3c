import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { checkEngineOptions } from "../../../src/api/checks/validate-engine.ts";
import { EngineClient } from "../../../src/api/page/client.ts";
import { connectLocal } from "../../../src/api/page/connect-local.ts";
import { EngineService } from "../../../src/api/worker/service.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

const manual = "The mill turns at dawn. Rye is ground first, then wheat. ".repeat(6);
const messages = [{ role: "system" as const, content: manual }];
const question = { role: "user" as const, content: "What is ground first?" };
const CACHES = [{ budget: "full" }, { budget: 48, policy: "k-norm" }] as const;

describe("messages that are read before they are asked about", () => {
  let tiny: InferenceEngine;
  let engine: EngineClient;
  beforeAll(async () => {
    tiny = await loadTinyEngine();
    const opened = {
      engine: tiny,
      sha256: "",
      keepCalibration: async () => false,
      openFile: () => Promise.reject(new Error("no file is opened here")),
      close: async () => {},
    };
    const connection = connectLocal(new EngineService(async () => opened));
    engine = await EngineClient.open(connection, checkEngineOptions({ model: "tiny" }), {});
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(tiny));

  const answer = (conversation: string) =>
    engine.chat.completions.create(
      { messages: [...messages, question], max_tokens: 20, temperature: 0 },
      { conversation },
    );

  test.each(CACHES)("are not read again: $budget", async (cache) => {
    const conversation = `read ${cache.budget}`;
    await engine.cache.configure(cache, { conversation });
    const { tokensSeen, pairsKept } = await engine.cache.read({ messages }, { conversation });
    expect(tokensSeen).toBeGreaterThan(300);
    expect(pairsKept).toBe(4 * (cache.budget === "full" ? tokensSeen : cache.budget));
    // A copy of them answers too, and what was read stays as it is.
    await engine.cache.fork(conversation, "question");
    const answers = [await answer(conversation), await answer("question")];
    for (const { usage } of answers)
      expect(usage.prompt_tokens_details.cached_tokens).toBe(tokensSeen);
    expect(answers[1]!.choices[0].message).toEqual(answers[0]!.choices[0].message);
    if (cache.budget !== "full") return;
    const atOnce = "at once";
    await engine.cache.configure(cache, { conversation: atOnce });
    const { choices } = await answer(atOnce);
    expect(choices[0].message).toEqual(answers[0]!.choices[0].message);
  });

  test("are nothing new the second time", async () => {
    const conversation = "twice";
    const first = await engine.cache.read({ messages }, { conversation });
    expect(await engine.cache.read({ messages }, { conversation })).toEqual(first);
  });
});
