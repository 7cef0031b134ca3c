/**
 * Every policy against a simulation in fp32 PyTorch (oracle_policies.py): what each kv head keeps of a prompt
 * that goes through as one block, what it keeps after sixty tokens decoded, and the losses of those; of winnow also
 * what it keeps of a second prompt. One of each kind also with the first layer kept whole (oracle_whole.py), and
 * policies that know of RoPE in a SmolLM3, whose fourth layer has none.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { POLICIES, type PolicyName } from "../../../src/cache/policies/index.ts";
import { InferenceEngine } from "../../../src/engine/engine.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { tinyModel } from "../../reference/tiny-model/tiny-model.ts";
import { sharedGpu } from "../../shared-gpu.ts";
import { loadTinyEngine } from "../tiny-engine.ts";
import { expectRun, type Fixture } from "./oracle-run.ts";

const file = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const fixtureOf = (name: string): Fixture => JSON.parse(file(name).toString());
const fixture = fixtureOf("policies-tiny.json");
const whole = fixtureOf("whole-tiny.json");
const smollm3 = fixtureOf("policies-smollm3.json");
const NAMES = Object.keys(POLICIES) as PolicyName[];
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
