/** Heads with budgets of their own, on the tiny model: when they are divided, and what each then holds. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { readCalibration } from "../../../src/cache/filters-file.ts";
import { POLICIES, type PolicyName, policyOf } from "../../../src/cache/policies/index.ts";
import { headBudgets } from "../../../src/cache/sequence/head-budgets.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { everyStep } from "../../../src/engine/steps/step-needs.ts";
import { keptPositions } from "../kept-positions.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

const NAMES = (Object.keys(POLICIES) as PolicyName[]).filter((name) => policyOf(name).headBudgets);
const BUDGET = 64;
const [WINDOW, SINKS] = [16, 4];
const TOKENS = Array.from({ length: 400 }, (_, i) => (i * 37 + 5 * (i % 11) + 3) % 260);

const bytes = readFileSync(new URL("../fixtures/policies-tiny.safetensors", import.meta.url));
const fixture = JSON.parse(
  readFileSync(new URL("../fixtures/policies-tiny.json", import.meta.url), "utf8"),
) as { head_budgets: { budget: number; window: number; sinks: number; heads: number[][] }[] };
const loss = readCalibration(bytes).statistics.headLoss!;
/** [L][G] */
const ownBudgets = (budget: number): number[][] =>
  headBudgets(loss, 2, { budget, least: WINDOW + SINKS + 1, governed: [true, true] });

let engine: InferenceEngine;
beforeAll(async () => {
  engine = await loadTinyEngine({}, { filters: bytes });
});
afterAll(() => engine?.close());

const counts = async (sequence: KvSequence): Promise<number[][]> => {
  const kept = await keptPositions(engine.internals.state, sequence);
  const last = sequence.tokensSeen - 1;
  for (const positions of kept.flat()) {
    // Sinks and window are there, nothing twice.
    expect(new Set(positions).size).toBe(positions.length);
    expect(positions.slice(0, SINKS)).toEqual([0, 1, 2, 3]);
    expect(positions.slice(-WINDOW)).toEqual(
      Array.from({ length: WINDOW }, (_, i) => last - WINDOW + 1 + i),
    );
  }
  expect(sequence.usage().pairsKept).toBe(kept.flat(2).length);
  expect(sequence.usage().pairsEvicted).toBe(4 * sequence.tokensSeen - kept.flat(2).length);
  return kept.map((heads) => heads.map((positions) => positions.length));
};
const atMost = (budgets: readonly number[][], tokens: number): number[][] =>
  budgets.map((heads) => heads.map((own) => Math.min(own, tokens)));

test.each(fixture.head_budgets)("budget $budget is divided as by PyTorch", (run) => {
  const { budget, window, sinks, heads } = run;
  const request = { budget, least: window + sinks + 1, governed: [true, true] };
  expect(headBudgets(loss, 2, request)).toEqual(heads);
  expect(new Set(heads.flat()).size).toBeGreaterThan(1);
});

describe.each(NAMES)("%s", (policy) => {
  const settings = (budget: number | "full") =>
    resolveCacheSettings({ policy, budget, window: WINDOW, sinks: SINKS });
  const start = async (budget: number): Promise<KvSequence> => {
    const { pool, runner } = engine.internals.state;
    await runner.compiled(everyStep(policy, true));
    return new KvSequence(pool, settings(budget));
  };
  const prefill = (sequence: KvSequence, count: number): Promise<void> => {
    const { prompts } = engine.internals.state;
    const { tokensSeen } = sequence;
    return prompts.read(sequence, TOKENS.slice(tokensSeen, tokensSeen + count), () => {});
  };
  const decode = (sequence: KvSequence, count: number): void => {
    for (let i = 0; i < count; i += 1)
      engine.internals.state.runner.submitToken(sequence, TOKENS[sequence.tokensSeen]!);
  };
  const end = (sequence: KvSequence): void => {
    sequence.free();
    checkCache(engine);
  };

  test("every head keeps everything until the budget is full, then has its own", async () => {
    const sequence = await start(BUDGET);
    await prefill(sequence, 50);
    decode(sequence, BUDGET - 50);
    expect(await counts(sequence)).toEqual(
      atMost(
        [
          [64, 64],
          [64, 64],
        ],
        BUDGET,
      ),
    );
    expect(sequence.whole).toBe(true);
    for (const more of [1, 20, 60]) {
      decode(sequence, more);
      expect(await counts(sequence)).toEqual(atMost(ownBudgets(BUDGET), sequence.tokensSeen));
    }
    await prefill(sequence, 4 * BUDGET);
    expect(await counts(sequence)).toEqual(ownBudgets(BUDGET));
    end(sequence);
  });

  test("prompts as a block and as a chunk that do not fit", async () => {
    for (const [first, second] of [
      [200, 130],
      [40, 30],
      [60, 150],
    ] as const) {
      const sequence = await start(BUDGET);
      await prefill(sequence, first);
      await prefill(sequence, second);
      expect(await counts(sequence)).toEqual(atMost(ownBudgets(BUDGET), first + second));
      end(sequence);
    }
  });

  test("a lower budget divides at once; one that everything fits gives all heads the same", async () => {
    const sequence = await start(128);
    const { runner } = engine.internals.state;
    await prefill(sequence, 100);
    expect(await counts(sequence)).toEqual([
      [100, 100],
      [100, 100],
    ]);
    sequence.setSettings(settings(BUDGET));
    runner.shrink(sequence);
    const lower = atMost(ownBudgets(BUDGET), 100);
    expect(await counts(sequence)).toEqual(lower);
    sequence.setSettings(settings(300));
    decode(sequence, 20);
    expect(await counts(sequence)).toEqual(lower.map((heads) => heads.map((n) => n + 20)));
    sequence.setSettings(settings("full"));
    decode(sequence, 20);
    expect(await counts(sequence)).toEqual(lower.map((heads) => heads.map((n) => n + 40)));
    end(sequence);
  });

  test("a fork made before the division has its own, and the other stays whole", async () => {
    const sequence = await start(BUDGET);
    await prefill(sequence, BUDGET);
    const before = await keptPositions(engine.internals.state, sequence);
    const fork = sequence.fork();
    // The division copies shared pages, so that slabs grow between scoring and eviction.
    for (const more of [1, 29]) {
      decode(fork, more);
      expect(await counts(fork)).toEqual(atMost(ownBudgets(BUDGET), fork.tokensSeen));
    }
    expect(await keptPositions(engine.internals.state, sequence)).toEqual(before);
    const divided = fork.fork();
    decode(divided, 30);
    expect(await counts(divided)).toEqual(atMost(ownBudgets(BUDGET), BUDGET + 60));
    fork.free();
    divided.free();
    end(sequence);
  });
});
