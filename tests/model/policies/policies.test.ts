/**
 * Every policy against a simulation in fp32 PyTorch (oracle_policies.py): what each kv head keeps of a prompt
 * that goes through as one block, what it keeps after sixty tokens decoded, and the losses of those; of winnow also
 * what it keeps of a second prompt. One of each kind also with the first layer kept whole (oracle_whole.py), and
 * policies that know of RoPE in a SmolLM3, whose fourth layer has none.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { POLICIES, type PolicyName } from "../../../src/cache/policies/index.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { LossReader } from "../../../src/engine/measuring/loss-reader.ts";
import { everyStep } from "../../../src/engine/steps/step-needs.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { keptPositions } from "../kept-positions.ts";
import { checkCache, loadTinyEngine } from "../tiny-engine.ts";

/** [L][G] positions, ascending. */
type Positions = number[][][];

interface Run {
  policy: string;
  budget: number;
  window: number;
  sinks: number;
  /** First layers that are not compressed. */
  whole?: number;
  /** Kept after the prompt, and at the end. */
  prompt: Positions;
  end: Positions;
  /** Kept after a second prompt. */
  second?: Positions;
  /** Those whose scores were nearly equal to what decided: either may go. */
  doubtful: Positions;
  nll: number[];
}
interface Fixture {
  tokens: number[];
  /** Tokens of a second prompt. */
  second: number[];
  prompt: number;
  runs: Run[];
}

const file = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const fixtureOf = (name: string): Fixture => JSON.parse(file(name).toString());
const fixture = fixtureOf("policies-tiny.json");
const whole = fixtureOf("whole-tiny.json");
const smollm3 = fixtureOf("policies-smollm3.json");
const NAMES = Object.keys(POLICIES) as PolicyName[];
/** Positions that may differ, of each head. */
const SWAPS = 2;

let engine: InferenceEngine;
let ropeless: InferenceEngine;
beforeAll(async () => {
  engine = await loadTinyEngine({ kv: "f32" }, { filters: file("policies-tiny.safetensors") });
  ropeless = await InferenceEngine.load(sharedGpu, {
    source: new MemorySource(tinyModel("smollm3"), "smollm3.gguf"),
    name: "smollm3",
    cache: { kv: "f32" },
    filters: file("policies-smollm3.safetensors"),
  });
});
afterAll(async () => {
  await engine?.close();
  await ropeless?.close();
});

/**
 * Both sets are equal, but for a few positions that the oracle found doubtful. `cascades`: what a layer above
 * one that differs takes in is another, so there any few may.
 */
function expectKept(
  found: Positions,
  { wanted, doubtful, cascades }: { wanted: Positions; doubtful: Positions; cascades: boolean },
): void {
  let differs = false;
  wanted.forEach((heads, layer) => {
    const free = cascades && differs;
    heads.forEach((positions, g) => {
      const kept = found[layer]![g]!;
      const where = `layer ${layer}, kv head ${g}`;
      expect(kept.length, where).toBe(positions.length);
      const different = [
        ...kept.filter((p) => !positions.includes(p)),
        ...positions.filter((p) => !kept.includes(p)),
      ];
      const sure = different.filter((p) => !doubtful[layer]![g]!.includes(p));
      if (!free) expect(sure, `${where}: kept by one alone`).toEqual([]);
      expect(different.length, where).toBeLessThanOrEqual(2 * SWAPS);
      differs ||= different.length > 0;
    });
  });
}

/** Runs the prompt, the tokens after it and the second prompt as the oracle did. */
async function expectRun(engine: InferenceEngine, fixture: Fixture, run: Run): Promise<void> {
  const { state } = engine.internals;
  const { pool, runner, prompts } = state;
  const { tokens, prompt } = fixture;
  const { budget, window, sinks, whole: wholeLayers = 0 } = run;
  const policy = run.policy as PolicyName;
  await runner.compiled(everyStep(policy));
  const sequence = new KvSequence(
    pool,
    resolveCacheSettings({ policy, budget, window, sinks, wholeLayers }),
  );
  const { vocabulary } = runner.transformer.config;
  const losses = await LossReader.create(state, vocabulary, tokens.length);
  await prompts.read(sequence, tokens.slice(0, prompt), ({ last, row }) => {
    if (last) losses.submit([tokens[prompt]!], row!, 0);
  });
  const { doubtful } = run;
  const taken = await keptPositions(state, sequence);
  // Every layer reads the prompt in full.
  expectKept(taken, { wanted: run.prompt, doubtful, cascades: false });
  tokens.slice(prompt).forEach((token, i) => {
    runner.submitToken(sequence, token);
    const next = tokens[prompt + i + 1];
    if (next !== undefined) losses.submit([next], 0, i + 1);
  });
  const nll = await losses.read(run.nll.length);
  const kept = await keptPositions(state, sequence);
  expectKept(kept, { wanted: run.end, doubtful, cascades: true });
  const worst = run.nll.reduce((most, x, i) => Math.max(most, Math.abs(x - nll[i]!)), 0);
  expect(worst).toBeLessThan(0.01);
  if (run.second) {
    await prompts.read(sequence, fixture.second, () => {});
    const last = await keptPositions(state, sequence);
    expectKept(last, { wanted: run.second, doubtful, cascades: true });
  }
  losses.dispose();
  sequence.free();
  checkCache(engine);
}

describe.each(NAMES)("%s against PyTorch", (policy) => {
  const runs = fixture.runs.filter((run) => run.policy === policy);

  test("has runs of the oracle", () => {
    expect(runs.map(({ budget }) => budget)).toEqual([64, 96]);
  });

  test.each(runs)("budget $budget, window $window", (run) => expectRun(engine, fixture, run));
});

test.each(whole.runs)("$policy with $whole layer kept whole", async (run) => {
  const [first, second] = run.end as [number[][], number[][]];
  expect(first).toEqual(first.map(() => whole.tokens.map((_, position) => position)));
  expect(second.flat()).toHaveLength(2 * run.budget);
  await expectRun(engine, whole, run);
});

describe("with a layer without RoPE", () => {
  test.each(smollm3.runs)("$policy against PyTorch", (run) => expectRun(ropeless, smollm3, run));
});
