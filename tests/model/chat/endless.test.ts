import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { checkEngineOptions } from "../../../src/api/checks/validate-engine.ts";
import { EngineClient } from "../../../src/api/page/client.ts";
import { connectLocal } from "../../../src/api/page/connect-local.ts";
import type { ReadProgress } from "../../../src/api/types.ts";
import { EngineService } from "../../../src/api/worker/service.ts";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import { POLICY_NAMES } from "../../../src/cache/policies/index.ts";
import { writeCalibration } from "../../../src/cache/write-filters.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import type { EngineLoadOptions } from "../../../src/engine/load.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { TINY_MODELS, tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask, GREEDY, someTokens } from "../chat.ts";
import { checkCache, freshChat } from "../tiny-engine.ts";

const TRAINED = 512;

/** All 4,000 tokens of every family, if everything is to be run; else enough for six folds of one, and three of others. */
const FULL = process.env.WINNOW_FULL === "1";
const tokensOf = (family: string): number => (FULL ? 4000 : family === "f32" ? 1600 : 800);

interface Fixture {
  tokens: number[];
  /** Tokens over which a loss is a mean. */
  mean: number;
  /** Tensors of a calibration file, [L, G, ...]. */
  calibration: Record<"q_filters" | "q_mean" | "q_abs" | "score_fit", number[]>;
  runs: (Required<Pick<CacheOptions, "policy" | "budget" | "window" | "sinks">> & {
    means: number[];
  })[];
}

const load = (
  name: keyof typeof TINY_MODELS,
  options: Partial<EngineLoadOptions> = {},
): Promise<InferenceEngine> =>
  InferenceEngine.load(sharedGpu, {
    source: new MemorySource(tinyModel(name, TRAINED), "tiny.gguf"),
    name,
    ...options,
  });

describe.each(["f32", "llama3", "smollm3", "qwen2", "qwen3", "gemma3", "granite", "phi3"] as const)(
  "tiny %s, trained for 512 positions, against PyTorch",
  (name) => {
    const { tokens, mean, calibration, runs }: Fixture = JSON.parse(
      readFileSync(new URL(`../fixtures/endless-${name}.json`, import.meta.url), "utf8"),
    );
    let engine: InferenceEngine;
    beforeAll(async () => {
      const { layers, kvHeads, headDim } = TINY_MODELS[name];
      const tensor = (key: keyof Fixture["calibration"]) => Float32Array.from(calibration[key]);
      const file = writeCalibration({
        filters: { values: tensor("q_filters"), layers, kvHeads, headDim },
        statistics: {
          queryMean: tensor("q_mean"),
          queryAbs: tensor("q_abs"),
          scoreFit: tensor("score_fit"),
        },
      });
      // Rounding to f16 turns which of two near-equal keys goes.
      engine = await load(name, { cache: { kv: "f32" }, filters: file });
    });
    afterAll(() => engine?.close());

    test.each(runs)("$policy, token by token, folds and all", async ({ means, ...cache }) => {
      const chat = await freshChat(engine, cache);
      expect(chat.usage().policy).toBe(cache.policy);
      const read = tokensOf(name);
      const nll = await chat.nll(tokens.slice(0, read + 1), { chunk: 1 });
      const found = Array.from({ length: read / mean }, (_, i) => {
        const part = nll.subarray(i * mean, (i + 1) * mean);
        return part.reduce((sum, x) => sum + x, 0) / mean;
      });
      const worst = Math.max(...found.map((x, i) => Math.abs(x - means[i]!)));
      expect(worst).toBeLessThan(0.01);
      checkCache(engine);
    });

    if (FULL)
      test("100,000 tokens: every loss a number, memory as after 4,000", async () => {
        const chat = await freshChat(engine, { budget: 48, policy: "winnow", window: 8 });
        const kv: number[] = [];
        const nll = await chat.nll(someTokens(100_000, 3), {
          chunk: 1,
          onProgress: (done) => {
            if (done % 4000 === 0) kv.push(engine.memory().kv);
          },
        });
        expect(nll.every(Number.isFinite)).toBe(true);
        expect(kv.length).toBeGreaterThan(20);
        expect(new Set(kv).size).toBe(1);
      }, 1_800_000);
  },
);

/** The public API over an engine, in this thread. */
const clientOf = (engine: InferenceEngine): Promise<EngineClient> => {
  const opened = {
    engine,
    sha256: "",
    keepCalibration: async () => false,
    openFile: () => Promise.reject(new Error("no file is opened here")),
    close: async () => {},
  };
  const connection = connectLocal(new EngineService(async () => opened));
  return EngineClient.open(connection, checkEngineOptions({ model: "tiny" }), {});
};

describe("a chat past the trained length", () => {
  let engine: InferenceEngine;
  const budget = { budget: 64, policy: "k-norm" } as const;
  beforeAll(async () => {
    engine = await load("f32", { cache: budget });
    Object.assign(engine.tokenizer, { endTokens: new Set() });
  });
  afterAll(() => engine?.close());
  afterEach(() => checkCache(engine));

  test("answers on, at constant memory; usage tells the tokens seen", async () => {
    const chat = await freshChat(engine, budget);
    const kv: number[] = [];
    const { answer, result } = await ask(chat, someTokens(30), {
      maxTokens: 700,
      onToken: (_, count) => {
        if (count % 100 === 0) kv.push(engine.memory().kv);
        return undefined;
      },
    });
    expect(answer).toHaveLength(700);
    expect(result?.finish).toBe("length");
    expect(chat.usage().tokensSeen).toBe(729);
    expect(new Set(kv.slice(1)).size).toBe(1);
    // Who keeps what is still told by token.
    const { kept, tokens } = await chat.retention();
    expect(tokens).toHaveLength(729);
    expect(kept.slice(0, 4)).toEqual([4, 4, 4, 4]);
    expect(kept.at(-1)).toBe(4);
    expect(kept.reduce((sum, n) => sum + n, 0)).toBe(4 * 64);
  });

  test("a prompt longer than the trained length is read, with progress, and is answered", async () => {
    const chat = await freshChat(engine, budget);
    const prompt = someTokens(1700, 5);
    const told: number[] = [];
    const { answer } = await ask(chat, prompt, {
      maxTokens: 8,
      onPrefill: (done, total) => {
        expect(total).toBe(1700);
        told.push(done);
      },
    });
    expect(answer).toHaveLength(8);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
    expect(told.at(-1)).toBe(1700);
    // The next turn reads nothing of it again.
    const { result } = await ask(chat, [...prompt, ...answer, 7], { maxTokens: 1 });
    expect(result?.cachedTokens).toBe(1708 - 1);
  });

  test("a request over the API tells how far it is read, streamed or whole, and can be aborted meanwhile", async () => {
    const client = await clientOf(engine);
    // The tiny models have a token a byte.
    const request = (text: string) => ({
      messages: [{ role: "user" as const, content: text.repeat(1700) }],
      max_tokens: 2,
    });
    for (const [text, stream] of [
      ["a", false],
      ["b", true],
    ] as const) {
      const told: ReadProgress[] = [];
      const answer = await client.chat.completions.create(
        { ...request(text), stream },
        { onProgress: (progress) => void told.push(progress) },
      );
      if (Symbol.asyncIterator in answer) for await (const _ of answer);
      const { total } = told.at(-1)!;
      expect(total).toBeGreaterThan(1000);
      expect(told[0]).toEqual({ read: 0, total, secondsLeft: undefined });
      expect(told.at(-1)).toEqual({ read: total, total, secondsLeft: 0 });
      const reads = told.map(({ read }) => read);
      expect(reads).toEqual(reads.toSorted((a, b) => a - b));
    }
    const abort = new AbortController();
    const reading = client.chat.completions.create(request("c"), {
      signal: abort.signal,
      onProgress: () => abort.abort(),
    });
    await expect(reading).rejects.toMatchObject({ code: "aborted" });
    expect(engine.conversation("default").usage().tokensSeen).toBeLessThan(1000);
    const after = await client.chat.completions.create(request("c"));
    expect(after.usage.completion_tokens).toBe(2);
    await client.cache.reset();
  });

  test("reading it can be aborted, and the chat goes on", async () => {
    const chat = await freshChat(engine, budget);
    const prompt = someTokens(1700, 6);
    const abort = new AbortController();
    const reading = ask(chat, prompt, {
      signal: abort.signal,
      onPrefill: (done) => {
        if (done > 700) abort.abort();
      },
    });
    await expect(reading).rejects.toMatchObject({ code: "aborted" });
    expect((await ask(chat, prompt, { maxTokens: 4 })).answer).toHaveLength(4);
  });

  test("guesses change no token of it", async () => {
    const answers: number[][] = [];
    for (const speculative of ["off", "lookup"] as const) {
      const chat = await freshChat(engine, budget);
      const steps = chat.generate(someTokens(40, 2), {
        sampling: GREEDY,
        maxTokens: 600,
        speculative,
      });
      const answer: number[] = [];
      for await (const token of steps) answer.push(token);
      answers.push(answer);
    }
    expect(answers[1]).toEqual(answers[0]);
  });

  test("a fork goes its own way and leaves the other as it was", async () => {
    const chat = await freshChat(engine, budget);
    const prompt = someTokens(500, 3);
    await ask(chat, prompt, { maxTokens: 1 });
    const fork = chat.fork();
    const longer = [...prompt, ...someTokens(30, 4)];
    const { answer } = await ask(fork, longer, { maxTokens: 60 });
    expect((await ask(chat, longer, { maxTokens: 60 })).answer).toEqual(answer);
    await fork.reset();
  });

  test.each([
    ["the budget is full", { budget: "full" }],
    ["a layer is whole", { budget: 64, wholeLayers: 1 }],
  ] as const)("it ends where %s, and says what to do", async (_, cache) => {
    const chat = await freshChat(engine, cache);
    const { answer, result } = await ask(chat, someTokens(480), { maxTokens: 100 });
    expect(answer).toHaveLength(33);
    expect(result?.finish).toBe("length");
    await expect(ask(chat, someTokens(513))).rejects.toMatchObject({
      code: "context_overflow",
      hint: expect.stringContaining("Give the cache a budget"),
    });
  });

  test("with the budget taken away in mid-answer, it ends", async () => {
    const chat = await freshChat(engine, budget);
    const { answer } = await ask(chat, someTokens(500), {
      maxTokens: 300,
      onToken: async (_, count) => {
        if (count === 100) await chat.configure({ budget: "full" });
        return undefined;
      },
    });
    expect(answer).toHaveLength(100);
  });
});

describe.each(["f16", "q8"] as const)(
  "every policy goes past the trained length, pages of %s",
  (kv) => {
    let engine: InferenceEngine;
    beforeAll(async () => {
      const filters = readFileSync(
        new URL("../fixtures/policies-tiny.safetensors", import.meta.url),
      );
      engine = await load("f32", { cache: { kv }, filters: Uint8Array.from(filters) });
      Object.assign(engine.tokenizer, { endTokens: new Set() });
    });
    afterAll(() => engine?.close());

    test.each(POLICY_NAMES.filter((name) => name !== "full"))(
      "%s: a prompt in blocks, an answer, and a second prompt",
      async (policy) => {
        const chat = await freshChat(engine, { budget: 96, window: 16, policy });
        expect(chat.usage().policy).toBe(policy);
        const prompt = someTokens(700, 8);
        const { answer } = await ask(chat, prompt, { maxTokens: 220 });
        expect(answer).toHaveLength(220);
        const second = await ask(chat, [...prompt, ...answer, ...someTokens(300, 9)], {
          maxTokens: 20,
        });
        expect(second.answer).toHaveLength(20);
        expect(second.result?.cachedTokens).toBeGreaterThanOrEqual(919);
        const { pairsKept, pairsEvicted, tokensSeen } = chat.usage();
        expect(pairsKept).toBe(4 * 96);
        expect(pairsKept + pairsEvicted).toBe(4 * tokensSeen);
        // No key, value or score is NaN.
        const { kept } = await chat.retention();
        expect(kept.reduce((sum, n) => sum + n, 0)).toBe(4 * 96);
        const more = someTokens(40, 10);
        const logits = await chat.nll([...prompt, ...more], { chunk: 64 });
        expect(logits.every(Number.isFinite)).toBe(true);
        checkCache(engine);
      },
    );
  },
);

test("a chat whose device is lost past the trained length is read again and goes on", async () => {
  const engine = await load("f32", { cache: { budget: 64, policy: "k-norm" } });
  Object.assign(engine.tokenizer, { endTokens: new Set() });
  try {
    const chat = engine.conversation("a");
    const prompt = someTokens(600, 12);
    const { answer } = await ask(chat, prompt, { maxTokens: 100 });
    engine.internals.state.gpu.device.destroy();
    const { answer: more } = await ask(chat, [...prompt, ...answer, 5], { maxTokens: 10 });
    expect(more).toHaveLength(10);
    expect(chat.usage().tokensSeen).toBeGreaterThan(700);
  } finally {
    engine.close();
  }
});
