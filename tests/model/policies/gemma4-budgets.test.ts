/** Budgets on a model whose layers borrow keys and values, with heads of two sizes: policies of every kind, in every storage. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { calibrateEngine } from "../../../src/api/calibration/calibrate-engine.ts";
import type { PolicyName } from "../../../src/cache/policies/index.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import type { KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, freshChat } from "../tiny-engine.ts";

const TEXT = Array.from({ length: 700 }, (_, i) => "abcdefgh "[(i * i + (i >> 3)) % 9]).join("");
const BUDGET = 48;
const OWNERS = 5;
const KV_HEADS = 2;

/** Kernels of scores take seconds to compile. */
const CASES: readonly [KvStorage, readonly PolicyName[]][] = [
  ["q8", ["winnow", "streaming-llm"]],
  ["f16", ["winnow", "h2o", "expected-attention"]],
  ["f32", ["k-norm"]],
];

/** Learned once, whatever the pages hold. */
let calibration: Uint8Array | undefined;

describe.each(CASES)("tiny gemma4, pages of %s", (kv, policies) => {
  let engine: InferenceEngine;
  beforeAll(async () => {
    engine = await InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyModel("gemma4"), "tiny.gguf"),
      name: "gemma4",
      cache: { budget: BUDGET, kv, window: 16, sinks: 4 },
    });
    // What WebGPU refuses does nothing, silently.
    engine.internals.state.gpu.device.addEventListener("uncapturederror", ({ error }) => {
      throw new Error(`WebGPU: ${error.message}`);
    });
    Object.assign(engine.tokenizer, { endTokens: new Set() });
    const sampled = { texts: [TEXT], samples: 64, modelSha256: "ab" };
    calibration ??= (await calibrateEngine(engine, sampled)).file;
    await engine.install(calibration);
  });
  afterAll(() => engine?.close());

  const cases = policies.map((policy) => [policy, false] as const);
  test.each([...cases, ...(kv === "f16" ? [["winnow", true] as const] : [])])(
    "%s, read twice: %s",
    async (policy, reread) => {
      const settings = { policy, ...(reread && { reread }) };
      const prompt = someTokens(300, 1);
      const chat = await freshChat(engine, settings);
      const { answer } = await ask(chat, prompt, { maxTokens: 40 });
      expect(chat.settings.policy).toBe(policy);
      expect(answer).toHaveLength(40);
      const { pairsKept, pairsEvicted } = chat.usage();
      expect(pairsKept).toBeLessThanOrEqual(OWNERS * KV_HEADS * BUDGET);
      expect(pairsEvicted).toBeGreaterThan(KV_HEADS * (339 - BUDGET) - 1);
      checkCache(engine);
      // In another chat, whose reading is first cut short, and beside another one.
      const other = await freshChat(engine, settings);
      const abort = new AbortController();
      const cut = ask(other, prompt, { signal: abort.signal, onPrefill: () => abort.abort() });
      await expect(cut).rejects.toMatchObject({ code: "aborted" });
      const beside = await freshChat(engine, { budget: 64 });
      const [again] = await Promise.all([
        ask(other, prompt, { maxTokens: 40 }),
        ask(beside, someTokens(200, 2), { maxTokens: 20 }),
      ]);
      expect(again.answer).toEqual(answer);
      checkCache(engine);
    },
  );
});
