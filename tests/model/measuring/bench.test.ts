import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { benchEviction } from "../../../src/cli/bench/eviction-cost.ts";
import { benchKernels } from "../../../src/cli/bench/kernel-bench.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { loadTinyEngine } from "../tiny-engine.ts";

let engine: InferenceEngine;
beforeAll(async () => {
  const url = new URL("../fixtures/policies-tiny.safetensors", import.meta.url);
  engine = await loadTinyEngine({ budget: 64 }, { filters: new Uint8Array(readFileSync(url)) });
});
afterAll(() => engine.close());

const options = { plans: ["cpu", "gpu"], layouts: false, runs: 1, report: () => {} } as const;

test("kernels of both kinds of adapter are timed: six dispatches a layer on a GPU, nine on a CPU", async () => {
  const { plans, roofline } = await benchKernels(engine, { ...options, histories: [128] });
  // Measured by difference on a busy machine, a time may come out below 0.
  expect(Number.isFinite(roofline.dispatchMs)).toBe(true);
  expect(plans.map(({ plan, own }) => [plan, own])).toEqual([
    ["cpu", true],
    ["gpu", false],
  ]);
  const decode = plans.map(({ steps }) => steps.find(({ rows }) => rows === 1)!);
  const { layers } = engine.internals.config;
  // Beside the layers: embedding, the head with its norm or without, the sampler's.
  expect(decode.map(({ dispatches }) => dispatches)).toEqual([9 * layers + 5, 6 * layers + 4]);
  for (const { kernels } of plans.flatMap(({ steps }) => steps))
    for (const { name, share } of kernels)
      if (/^(matmul|matvec|attention)/.test(name)) expect(share, name).toBeTypeOf("number");
});

test("what eviction takes is measured, of decoding and of prompts that fit and that do not", async () => {
  const { plans } = await benchEviction(engine, {
    ...options,
    plans: ["gpu"],
    policies: ["q-filters", "winnow"],
    budget: 128,
    prompts: [128, 300],
  });
  for (const { costs } of plans) {
    expect(costs.map(({ policy }) => policy)).toEqual(["q-filters", "winnow"]);
    for (const { policy, decode, prefill } of costs) {
      expect(decode).toMatchObject({ history: 300, every: policy === "winnow" ? 16 : 1 });
      expect(decode.scoreMs !== 0).toBe(policy === "winnow");
      expect(prefill.map(({ prompt }) => prompt)).toEqual([128, 300]);
      for (const { prompt, kernels, restMs } of prefill) {
        expect(Number.isFinite(restMs)).toBe(true);
        const names = Object.keys(kernels).map((name) => name.split(" ")[0]);
        const plain = [prompt > 128 ? "evict_select" : "select_all", "kv_move"];
        const joined = ["observe", "score_context", "score_parts", "score_join"];
        const scoring = policy === "winnow" ? joined : [];
        expect(names.filter((name) => name !== "remember_block")).toEqual([...scoring, ...plain]);
        const remembered = names.filter((name) => name === "remember_block").length;
        expect(remembered).toBe(policy === "winnow" && prompt > 128 ? 2 : 0);
      }
    }
  }
});
