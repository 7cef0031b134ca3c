/** A run of the oracle in fp32 PyTorch, and the same of the engine, which must keep the same. */
import { expect } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import type { PolicyName } from "../../../src/cache/policies/index.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { LossReader } from "../../../src/engine/measuring/loss-reader.ts";
import { everyStep } from "../../../src/engine/steps/step-needs.ts";
import { keptPositions } from "../kept-positions.ts";
import { checkCache } from "../tiny-engine.ts";

/** [L][G] positions, ascending. */
export type Positions = number[][][];

export interface Run {
  policy: string;
  budget: number;
  window: number;
  sinks: number;
  /** First layers that are not compressed. */
  whole?: number;
  /** Prompts are read twice. */
  reread?: boolean;
  /** Kept after the prompt, and at the end. */
  prompt: Positions;
  end: Positions;
  /** Kept after a second prompt. */
  second?: Positions;
  /** Those whose scores were nearly equal to what decided: either may go. */
  doubtful: Positions;
  nll: number[];
}
export interface Fixture {
  tokens: number[];
  /** Tokens of a second prompt. */
  second: number[];
  prompt: number;
  runs: Run[];
}

/** Positions that may differ, of each head. */
const SWAPS = 2;

/**
 * Both sets are equal, but for a few positions that the oracle found doubtful. `cascades`: what a layer above
 * one that differs takes in is another, so there any few may.
 */
export function expectKept(
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
export async function expectRun(
  engine: InferenceEngine,
  fixture: Fixture,
  run: Run,
): Promise<void> {
  const { state } = engine.internals;
  const { pool, runner, prompts } = state;
  const { tokens, prompt } = fixture;
  const { budget, window, sinks, whole: wholeLayers = 0, reread = false } = run;
  const policy = run.policy as PolicyName;
  await runner.compiled(everyStep(policy));
  const sequence = new KvSequence(
    pool,
    resolveCacheSettings({ policy, budget, window, sinks, wholeLayers, reread }),
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
