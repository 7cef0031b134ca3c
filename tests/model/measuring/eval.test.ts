/** The evaluation on tiny models: against PyTorch, against the engine's other path, against theory. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";
import type { PolicyName } from "../../../src/cache/policies/index.ts";
import { tokenHolders } from "../../../src/cache/token-holders.ts";
import { writeFilters } from "../../../src/cache/write-filters.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { evaluate } from "../../../src/eval/evaluate.ts";
import { type EvalModel, engineModel, type TextRun } from "../../../src/eval/model.ts";
import { resultsOf } from "../../../src/eval/report/results.ts";
import { streamsOf } from "../../../src/eval/report/streams.ts";
import {
  type EvalOptions,
  MASS_EVERY,
  massPosition,
  type TextScore,
} from "../../../src/eval/types.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { TINY_MODELS, tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { ask, someTokens } from "../chat.ts";
import { checkCache, freshChat, loadTinyEngine } from "../tiny-engine.ts";

interface Run {
  policy: PolicyName;
  window: number;
  sinks: number;
  nll: number[];
}
interface Fixture {
  tokens: number[];
  nll: number[];
  eviction: { budget: number; filters: number[][][]; decode: Run[] };
}

/** Everything that is compared with the uncompressed run. */
const ALL = { agreement: true, mass: true } as const;

describe.each(["f32", "gemma3"] as const)("losses of tiny %s in lanes", (name) => {
  const file = readFileSync(new URL(`../fixtures/tiny-${name}.json`, import.meta.url), "utf8");
  const { tokens, nll, eviction } = JSON.parse(file) as Fixture;
  const { layers, kvHeads, headDim } = TINY_MODELS[name];

  test("every policy of the fixture at once, each within 0.01 nats of PyTorch", async () => {
    const values = Float32Array.from(eviction.filters.flat(2));
    const engine = await InferenceEngine.load(sharedGpu, {
      source: new MemorySource(tinyModel(name), "tiny.gguf"),
      name,
      filters: writeFilters({ values, layers, kvHeads, headDim }),
    });
    try {
      const { budget, decode } = eviction;
      const caches = decode.map(({ policy, window, sinks }) => ({
        policy,
        window,
        sinks,
        budget,
      }));
      const found = await engineModel(engine).losses(
        under(tokens, [{ policy: "full" }, ...caches]),
        ALL,
      );
      [nll, ...decode.map((run) => run.nll)].forEach((wanted, i) => {
        expect(found[i]!.nll).toHaveLength(wanted.length);
        wanted.forEach((loss, at) => {
          expect(Math.abs(found[i]!.nll[at]! - loss)).toBeLessThan(1e-2);
        });
      });
      expect(found[0]!.kl!.every((value) => value === 0)).toBe(true);
      expect(found[1]!.pairs).toBe(budget);
      expect(found[0]!.mass!.every((share) => share === 1)).toBe(true);
      expect(found[0]!.mass).toHaveLength(Math.floor((tokens.length - 1) / MASS_EVERY));
      for (const { mass } of found.slice(1)) expect(mass!.at(-1)).toBeLessThan(1);
    } finally {
      await engine.close();
    }
  });
});

/** One passage under several caches. */
const under = (tokens: readonly number[], caches: readonly CacheOptions[]): TextRun[] =>
  caches.map((cache) => ({ tokens, cache }));

describe("the evaluation of a tiny model", () => {
  let engine: InferenceEngine;
  let model: EvalModel;
  beforeAll(async () => {
    engine = await loadTinyEngine();
    model = engineModel(engine);
  });
  afterAll(() => engine?.close());

  test("a budget as long as the text scores just as the full cache", async () => {
    const tokens = someTokens(120, 4);
    const caches: CacheOptions[] = [
      { policy: "full" },
      { policy: "k-norm", budget: 120 },
      { policy: "random", budget: 500 },
      { policy: "streaming-llm", budget: 40 },
    ];
    const [full, same, alsoSame, other] = (await model.losses(under(tokens, caches), ALL)) as [
      TextScore,
      TextScore,
      TextScore,
      TextScore,
    ];
    for (const one of [same, alsoSame]) {
      expect(one.nll).toEqual(full.nll);
      expect(one.kl).toEqual(full.kl);
      expect(one.top1!.every((value) => value === 1)).toBe(true);
      expect(one.mass).toEqual([1, 1, 1]);
    }
    // As long as nothing is evicted, so is the fourth.
    expect(other.nll.slice(0, 40)).toEqual(full.nll.slice(0, 40));
    expect(other.nll).not.toEqual(full.nll);
    expect(other.bytes).toBeLessThan(full.bytes);
    expect(other.mass![0]).toBe(1);
    expect(other.mass![2]).toBeLessThan(1);
  });

  test("passages that step together score as each alone, also where they differ in length", async () => {
    const cache: CacheOptions = { policy: "k-norm", budget: 60 };
    const runs = [120, 70, 95].map((count, seed) => ({ tokens: someTokens(count, seed), cache }));
    const plain = { agreement: false, mass: false };
    const together = await model.losses(runs, plain);
    for (const [i, run] of runs.entries())
      expect([together[i]]).toEqual(await model.losses([run], plain));
  });

  test("the random policy retains the attention of what is protected and its share of the rest", async () => {
    const [count, budget, window, sinks] = [260, 100, 16, 4];
    const caches: CacheOptions[] = [
      { policy: "full" },
      { policy: "random", budget, window, sinks },
      // Just what the random policy may not drop.
      { policy: "streaming-llm", budget: window + sinks, window: window - 1, sinks },
    ];
    const errors: number[] = [];
    for (const seed of [11, 12, 13, 14, 15, 16]) {
      const tokens = someTokens(count, seed);
      const wanted = { agreement: false, mass: true };
      const [, random, protectedOnly] = await model.losses(under(tokens, caches), wanted);
      random!.mass!.forEach((found, i) => {
        const seen = massPosition(i) + 1;
        if (seen <= budget) {
          expect(found).toBe(1);
          return;
        }
        const share = (budget - window - sinks) / (seen - window - sinks);
        const safe = protectedOnly!.mass![i]!;
        errors.push(found - (safe + share * (1 - safe)));
      });
    }
    expect(errors).toHaveLength(6 * 5);
    const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    // All heads and texts keep the same random positions: of six texts drawn sets deviate by .0085.
    expect(Math.abs(mean)).toBeLessThan(4 * 0.0085);
  });

  test("answers of lanes are those of a conversation, whatever stands beside them", async () => {
    const caches: CacheOptions[] = [
      { policy: "full", budget: "full" },
      { policy: "streaming-llm", budget: 40, window: 20, sinks: 4 },
      { policy: "random", budget: 64, window: 8, sinks: 4 },
    ];
    const prompts = [someTokens(90, 1), someTokens(150, 2), someTokens(61, 3)];
    const runs = caches.map((cache, i) => ({
      cache,
      parts: i === 1 ? [prompts[1]!.slice(0, 100), prompts[1]!.slice(100)] : [prompts[i]!],
      answerTokens: 8 + i,
    }));
    const together = await model.answers(runs);
    for (const [i, run] of runs.entries())
      expect(await model.answers([run])).toEqual([together[i]]);
    const chat = engine.conversation("answers");
    for (const i of [0, 2]) {
      await chat.reset();
      await chat.configure(caches[i]!);
      const { answer } = await ask(chat, prompts[i]!, { maxTokens: 8 + i });
      expect(together[i]!.text).toBe(engine.tokenizer.decode(answer));
    }
    await chat.reset();
    // One answer ends early, by its third token; the others go on.
    await chat.configure(caches[0]!);
    const { answer } = await ask(chat, prompts[0]!, { maxTokens: 8 });
    await chat.reset();
    const { endTokens } = engine.tokenizer;
    const end = answer[2]!;
    Object.assign(engine.tokenizer, { endTokens: new Set([end]) });
    try {
      const [short, ...others] = await model.answers(runs);
      expect(short!.text).toBe(engine.tokenizer.decode(answer.slice(0, answer.indexOf(end))));
      expect(others.every(({ text }) => text.length > 0)).toBe(true);
    } finally {
      Object.assign(engine.tokenizer, { endTokens });
    }
    checkCache(engine);
  });

  test("what several runs read alike is read once, and their answers are those of runs alone", async () => {
    const parts = [someTokens(200, 4), someTokens(60, 5)];
    const questions = [11, 12, 13].map((seed) => someTokens(15, seed));
    const caches: CacheOptions[] = [
      { policy: "full", budget: "full" },
      { policy: "random", budget: 96, window: 8, sinks: 4 },
    ];
    const runs = caches.flatMap((cache) =>
      questions.map((question) => ({
        cache,
        parts: [...parts, question],
        system: 30,
        answerTokens: 12,
      })),
    );
    let read = 0;
    const onTokens = (tokens: number): void => {
      read = tokens;
    };
    const together = await model.answers(runs, { onTokens });
    expect(read).toBeLessThanOrEqual(2 * (260 + 3 * (15 + 12)));
    for (const [i, run] of runs.entries())
      expect(await model.answers([run])).toEqual([together[i]]);
    expect(new Set(together.map(({ text }) => text)).size).toBeGreaterThan(3);
    checkCache(engine);
  });

  test("the random policy keeps what chance keeps, at every depth", async () => {
    const [tokens, budget, window, sinks] = [400, 120, 16, 4];
    const kept = await engine.lanes(1, async (lanes) => {
      const lane = await lanes.add({ policy: "random", budget, window, sinks });
      await lanes.prefill(lane, someTokens(tokens, 8));
      const { runner } = engine.internals.state;
      await runner.compiled({ retention: true });
      return Array.from(await tokenHolders(runner.compressor, lane.sequence));
    });
    const heads = 4; // L x G of the tiny model
    const share = (budget - window - sinks) / (tokens - window - sinks);
    const open = kept.slice(sinks, tokens - window);
    expect(kept.slice(0, sinks)).toEqual(new Array(sinks).fill(heads));
    expect(open.reduce((sum, n) => sum + n, 0)).toBe(heads * (budget - window - sinks));
    // Each quarter of the depth within four standard deviations of a binomial.
    const quarter = Math.floor(open.length / 4);
    for (let q = 0; q < 4; q += 1) {
      const found = open.slice(q * quarter, (q + 1) * quarter).reduce((sum, n) => sum + n, 0);
      const trials = quarter * heads;
      const deviation = Math.sqrt(trials * share * (1 - share));
      expect(Math.abs(found - trials * share)).toBeLessThan(4 * deviation);
    }
    // A needle of one token survives in some head with 1 - (1 - share)^heads.
    const survived = open.filter((n) => n > 0).length / open.length;
    const wanted = 1 - (1 - share) ** heads;
    expect(Math.abs(survived - wanted)).toBeLessThan(
      4 * Math.sqrt((wanted * (1 - wanted)) / open.length),
    );
  });

  test("runs from text to figures", async () => {
    const options: EvalOptions = {
      tasks: ["ppl", "agreement", "mass", "niah-single"],
      policies: ["random", "k-norm"],
      budgets: [40, 200],
      ratios: [4],
      lengths: [400],
      depths: [0.5],
      asks: ["in", "after"],
      tokens: 100,
      passages: 2,
      bin: 50,
      trials: 1,
      seed: 1,
      kv: "f16",
      lanes: 3,
    };
    const text = "It was a bright cold day in April, and the clocks were striking. ".repeat(12);
    const provenance = { version: "1", modelSha256: "tiny", filtersSha256: "" };
    const { cells } = await evaluate(
      model,
      options,
      [{ name: "t", sha256: "t", text }],
      provenance,
      {
        kept: new Map(),
        keep: async () => {},
        note: () => {},
        report: () => {},
      },
    );
    const { rows } = resultsOf(cells, 40);
    const ratios = rows.filter(({ metric }) => metric === "perplexity ratio");
    expect(ratios).toHaveLength(5);
    for (const { arm, value } of ratios) {
      if (arm.budget === 40) expect(value).not.toBe(1);
      else expect(value).toBe(1);
    }
    const tops = rows.filter(({ metric, arm }) => metric === "KL (nats)" && arm.budget === 200);
    expect(tops.map(({ value }) => value)).toEqual([0, 0]);
    const masses = rows.filter(({ metric }) => metric === "retained attention mass");
    expect(masses).toHaveLength(5);
    for (const { arm, value, ceiling, n } of masses) {
      expect([ceiling, n]).toEqual([1, 2]);
      if (arm.budget === 40) expect(value).toBeLessThan(0.95);
      else expect(value).toBe(1);
    }
    expect(rows.filter(({ task }) => task === "niah-single")).toHaveLength(2 * 3);
    for (const { bytes, bytesFull, arm } of rows)
      if (arm.budget === 40) expect(bytes).toBeLessThan(bytesFull!);
    checkCache(engine);
  });
});

test("past the trained length streams and prompts run under budgets, as a chat does", async () => {
  const engine = await InferenceEngine.load(sharedGpu, {
    source: new MemorySource(tinyModel("f32", 512), "tiny.gguf"),
    name: "tiny",
  });
  try {
    const options: EvalOptions = {
      tasks: ["stream", "niah-single"],
      policies: ["streaming-llm"],
      budgets: [128],
      ratios: [4],
      // The first part of what is asked afterwards ends before the trained length, the question behind it.
      lengths: [540, 700],
      depths: [0.5],
      asks: ["in", "after"],
      tokens: 700,
      passages: 1,
      bin: 256,
      trials: 1,
      seed: 1,
      kv: "f16",
      lanes: 4,
    };
    const text = "It was a bright cold day in April, and the clocks were striking. ".repeat(14);
    const { cells } = await evaluate(
      engineModel(engine),
      options,
      [{ name: "t", sha256: "t", text }],
      { version: "1", modelSha256: "tiny", filtersSha256: "" },
      { kept: new Map(), keep: async () => {}, note: () => {}, report: () => {} },
    );
    expect(cells.map(({ cell }) => cell.kind)).toEqual(["text", ...Array(4).fill("prompt")]);
    const [set] = streamsOf(cells, options.bin);
    expect(set!.ranges.at(-1)).toEqual([512, 699]);
    const chat = await freshChat(engine, { policy: "streaming-llm", budget: 128 });
    const tokens = engine.tokenizer.encode(text).slice(0, 700);
    const nll = await chat.nll(tokens, { chunk: 1 });
    const found = (cells[0]!.score as TextScore).nll;
    expect(Math.max(...found.map((loss, i) => Math.abs(loss - nll[i]!)))).toBeLessThan(1e-3);
    checkCache(engine);
  } finally {
    await engine.close();
  }
});
