import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import { writeFilters } from "../../../src/cache/write-filters.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { tokenRows } from "../../../src/engine/steps/token-rows.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { FAMILIES } from "../../reference/tiny-model/families.ts";
import { TINY_MODELS, tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";

interface Run {
  policy: "q-filters" | "k-norm" | "streaming-llm";
  window: number;
  sinks: number;
  nll: number[];
  mean: number;
}
interface Fixture {
  tokens: number[];
  logits: Record<string, number[]>;
  nll: number[];
  eviction: { budget: number; filters: number[][][]; decode: Run[]; chunk: number; chunked: Run[] };
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let worst = 0;
  for (let i = 0; i < b.length; i += 1) worst = Math.max(worst, Math.abs(a[i]! - b[i]!));
  return worst;
};

const NAMES = ["f32", "quant", "kquant", ...FAMILIES, "phi3-window"] as const;

/**
 * Largest error of a logit or a loss, and of a loss under eviction. f16 and q8 round keys and values; what
 * is left in f32 is the order of sums. In these models of random weights the rounding of q8 may turn which of
 * two near-equal keys is evicted: of its losses under eviction the mean is compared.
 */
const STORAGES = [
  ["f32", 1e-3, 1e-3],
  ["f16", 1e-2, 1e-2],
  ["q8", 1e-1, 2e-2],
] as const;

const meanOf = (nll: ArrayLike<number>): number =>
  Array.from(nll).reduce((sum, loss) => sum + loss, 0) / nll.length;

/** Each takes seconds to compile: q8 on what differs in head size and windows. */
const WITH_Q8: readonly string[] = ["f32", "llama3", "qwen3", "gemma3", "lfm2", "qwen35", "gemma4"];

const CASES = NAMES.flatMap((name) =>
  STORAGES.filter(([kv]) => kv !== "q8" || WITH_Q8.includes(name)).map(
    (storage) => [name, ...storage] as const,
  ),
);

describe.each(CASES)(
  "tiny %s model against PyTorch, pages of %s",
  (name, kv, close, closeEvicting) => {
    const fixture: Fixture = JSON.parse(
      readFileSync(new URL(`../fixtures/tiny-${name}.json`, import.meta.url), "utf8"),
    );
    const { kvHeads, headDim } = TINY_MODELS[name];
    // Of the layers that hold keys and values.
    const layers = fixture.eviction.filters.length;
    let engine: InferenceEngine;

    const expectEvicted = (nll: Float64Array, run: Run): void => {
      const error = kv === "q8" ? Math.abs(meanOf(nll) - run.mean) : largest(nll, run.nll);
      expect(error).toBeLessThan(closeEvicting);
    };

    beforeAll(async () => {
      const values = Float32Array.from(fixture.eviction.filters.flat(2));
      engine = await InferenceEngine.load(sharedGpu, {
        source: new MemorySource(tinyModel(name), "tiny.gguf"),
        name,
        cache: { budget: "full", kv },
        filters: writeFilters({ values, layers, kvHeads, headDim }),
      });
    });
    afterAll(() => engine?.close());

    test.each(Object.keys(fixture.logits).map(Number))("logits after token %i", async (last) => {
      const logits = await engine.conversation("a").logits(fixture.tokens.slice(0, last + 1));
      expect(largest(logits, fixture.logits[last]!)).toBeLessThan(close);
    });

    test.each([1, 7, 20])("loss a token, uncompressed, chunks of %i", async (chunk) => {
      const nll = await engine.conversation("a").nll(fixture.tokens, { chunk });
      expect(largest(nll, fixture.nll)).toBeLessThan(close);
    });

    test("logits of prompt pieces and single tokens in turn, through windows and beyond", async () => {
      const { runner, gpu, pool } = engine.internals.state;
      const { logits: buffer } = runner.transformer.buffers;
      // Later pieces read what q8 has rounded of earlier ones; of a logit, not of a loss, that is more.
      const limit = kv === "q8" ? 2 * close : close;
      const sequence = new KvSequence(pool, resolveCacheSettings({ budget: "full" }));
      let seen = 0;
      for (const rows of [11, 1, 1, 7, 1, 4, 20, 1, 3, 1]) {
        const part = fixture.tokens.slice(seen, seen + rows);
        await tokenRows(runner, part);
        if (rows === 1) runner.submitToken(sequence, part[0]!);
        else runner.submitChunk(sequence, part);
        seen += rows;
        const expected = fixture.logits[seen - 1];
        if (!expected) continue;
        runner.submitHead(1, rows - 1);
        const found = await gpu.read(buffer, 0, expected.length * 4);
        expect(largest(new Float32Array(found), expected), `${seen} tokens`).toBeLessThan(limit);
      }
      expect(seen).toBe(fixture.tokens.length);
      sequence.free();
    });

    test.each(fixture.eviction.decode)("decode order: $policy, sinks $sinks", async (run) => {
      const conversation = engine.conversation("b");
      await conversation.configure({
        budget: fixture.eviction.budget,
        policy: run.policy,
        window: run.window,
        sinks: run.sinks,
      });
      const nll = await conversation.nll(fixture.tokens, { chunk: 1 });
      expectEvicted(nll, run);
    });

    test.each(fixture.eviction.chunked)("prompt order: $policy, sinks $sinks", async (run) => {
      const conversation = engine.conversation("b");
      await conversation.configure({
        budget: fixture.eviction.budget,
        policy: run.policy,
        window: run.window,
        sinks: run.sinks,
      });
      const nll = await conversation.nll(fixture.tokens, { chunk: fixture.eviction.chunk });
      expectEvicted(nll, run);
    });

    test("says what the family's keys do to a small budget, once", () => {
      const { caution } = engine.internals.config.architecture;
      const said = engine.info().notices.filter((text) => text === caution);
      expect(said).toHaveLength(caution ? 1 : 0);
    });
  },
);
