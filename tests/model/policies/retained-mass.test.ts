/** Retained attention mass in lanes against its definition in PyTorch (oracle_mass.py). */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PolicyName } from "../../../src/cache/policies/index.ts";
import type { InferenceEngine } from "../../../src/engine/engine.ts";
import { engineModel } from "../../../src/eval/model.ts";
import { MASS_EVERY } from "../../../src/eval/types.ts";
import { loadTinyEngine } from "../tiny-engine.ts";

interface Fixture {
  tokens: number[];
  every: number;
  runs: {
    policy: PolicyName;
    budget: number;
    window: number;
    sinks: number;
    whole: number;
    mass: number[];
  }[];
}
const file = (name: string): Buffer =>
  readFileSync(new URL(`../fixtures/${name}`, import.meta.url));
const { tokens, every, runs } = JSON.parse(file("mass-tiny.json").toString()) as Fixture;

let engine: InferenceEngine;
beforeAll(async () => {
  engine = await loadTinyEngine({ kv: "f32" }, { filters: file("policies-tiny.safetensors") });
});
afterAll(() => engine?.close());

test("every run of the fixture, position by position; the uncompressed one retains all", async () => {
  expect(every).toBe(MASS_EVERY);
  const caches = runs.map(({ whole: wholeLayers, mass: _, ...cache }) => ({
    ...cache,
    wholeLayers,
  }));
  const before = engine.memory();
  const wanted = { agreement: false, mass: true };
  const [full, ...found] = await engineModel(engine).losses(
    [{ policy: "full" as const }, ...caches].map((cache) => ({ tokens, cache })),
    wanted,
  );
  expect(full!.mass).toEqual(runs[0]!.mass.map(() => 1));
  runs.forEach(({ policy, mass }, i) => {
    expect(found[i]!.mass, policy).toHaveLength(mass.length);
    mass.forEach((share, at) => {
      expect(Math.abs(found[i]!.mass![at]! - share), `${policy} at ${at}`).toBeLessThan(2e-3);
    });
  });
  expect(engine.memory().staging).toBe(before.staging);
});

test("a first lane that has dropped something is no measure, nor is one that was not prepared for", async () => {
  const cache = { policy: "k-norm", budget: 30, window: 8 } as const;
  await engine.lanes(1, async (lanes) => {
    const lane = await lanes.add(cache);
    const step = (mass: boolean) => lanes.step([{ lane, token: 5 }], { mass });
    await expect(step(true)).rejects.toMatchObject({ code: "internal" });
    await lanes.prepareMass(64);
    expect((await step(true)).mass).toEqual([1]);
    for (let i = 0; i < 40; i += 1) expect((await step(false)).mass).toEqual([]);
    await expect(step(true)).rejects.toMatchObject({ code: "internal" });
  });
});
