/**
 * Loss a token of the real model under eviction against a simulation in fp32 PyTorch (oracle_eviction.py).
 * It takes minutes on a software adapter: WINNOW_FULL=1 runs all 400 tokens, else the first ones: of the decode
 * path 130, of which 33 evict; of the prompt path a chunk and 32 tokens, which read what it left. Runs without sinks
 * come with WINNOW_FULL=1 too. tiny.test.ts always has those, and prompts of more chunks.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PolicyName } from "../../../src/cache/policies/index.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { loadRealModel } from "../real-model.ts";

interface Run {
  policy: PolicyName;
  window: number;
  sinks: number;
  mean: number;
  nll: number[];
}
interface Fixture {
  budget: number;
  tokens: number[];
  chunk: number;
  runs: Run[];
}

const file = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const decode = JSON.parse(file("eviction.json").toString()) as Fixture;
const chunked = JSON.parse(file("eviction-chunked.json").toString()) as Fixture;
const FULL = process.env.WINNOW_FULL === "1";
const DECODED = FULL ? decode.tokens.length : 130;
const READ = FULL ? chunked.tokens.length : chunked.chunk + 32;
const TOLERANCE = 0.01;
/** Long, since a busy machine without a GPU may take two seconds per token. */
const TIMEOUT = 1_200_000;

const meanDifference = (a: ArrayLike<number>, b: readonly number[]): number =>
  b.reduce((sum, value, i) => sum + Math.abs(a[i]! - value), 0) / b.length;

describe("the real model's loss under eviction against PyTorch", () => {
  let engine: InferenceEngine;

  beforeAll(async () => {
    engine = await loadRealModel({}, file("filters.safetensors"));
  });
  afterAll(() => engine?.close());

  const compare = async (fixture: Fixture, run: Run, count: number): Promise<void> => {
    const { policy, window, sinks } = run;
    const conversation = engine.conversation("eviction");
    await conversation.configure({ budget: fixture.budget, policy, window, sinks });
    const tokens = fixture.tokens.slice(0, count);
    const nll = await conversation.nll(tokens, { chunk: fixture.chunk });
    const wanted = run.nll.slice(0, count - 1);
    expect(nll).toHaveLength(count - 1);
    const { pairsKept, pairsEvicted } = conversation.usage();
    const { layers, kvHeads } = engine.shape;
    expect(pairsKept).toBe(layers * kvHeads * fixture.budget);
    expect(pairsEvicted).toBe(layers * kvHeads * (count - 1 - fixture.budget));
    const difference = meanDifference(nll, wanted);
    const mean = nll.reduce((sum, loss) => sum + loss, 0) / nll.length;
    console.log(
      `${policy} sinks ${sinks}, chunk ${fixture.chunk}, ${count} tokens: mean |difference| ` +
        `${difference.toFixed(5)}, mean loss ${mean.toFixed(5)}`,
    );
    expect(difference).toBeLessThanOrEqual(TOLERANCE);
  };

  test.each(chunked.runs.filter(({ sinks }) => FULL || sinks > 0))(
    "prompt path: $policy, sinks $sinks",
    (run) => compare(chunked, run, READ),
    TIMEOUT,
  );

  test.each(decode.runs.filter(({ sinks }) => sinks > 0))(
    "decode path: $policy",
    (run) => compare(decode, run, DECODED),
    TIMEOUT,
  );
});
