import { describe, expect, test } from "vitest";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { TINY_MODELS, tinyGguf } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, freshChat } from "../tiny-engine.ts";

describe.each([8, 24])("heads of %i dimensions, which no kernel can score", (headDim) => {
  const load = (cache: object) =>
    InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyGguf("f32", { ...TINY_MODELS.f32, headDim }), "narrow.gguf"),
      name: "narrow",
      cache,
    });

  test("keep to a budget by a policy without scores; others say so, and take nothing from a chat", async () => {
    const budget = { budget: 48, policy: "streaming-llm" } as const;
    const engine = await load(budget);
    try {
      const chat = await freshChat(engine, budget);
      const prompt = someTokens(100);
      const { answer } = await ask(chat, prompt, { maxTokens: 20 });
      expect(chat.usage().pairsKept).toBe(4 * 48);
      const asked = [...prompt, ...answer, 5];
      const refused = { code: "unsupported_model", hint: expect.stringContaining("streaming-llm") };
      for (const policy of ["k-norm", "keydiff", "snapkv"] as const) {
        await expect(
          (async () => {
            await chat.configure({ budget: 48, policy });
            await ask(chat, asked, { maxTokens: 4 });
          })(),
          policy,
        ).rejects.toMatchObject(refused);
      }
      await chat.configure(budget);
      const { result } = await ask(chat, asked, { maxTokens: 4 });
      expect(result?.cachedTokens).toBeGreaterThan(100);
      checkCache(engine);
    } finally {
      await engine.close();
    }
  });
});
