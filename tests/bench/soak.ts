/**
 * Runs a chat far beyond its budget and checks that nothing grows: no GPU buffer is made after the first 256
 * tokens, memory stays constant, and the time per token stays flat (medians of thirds within 5 %).
 * tiny: 50,000 tokens of the tiny f32 model; real: 2,000 of SmolLM2-135M (WINNOW_MODEL, else fetched as by npm start).
 * Budget 128. Prints one JSON object; exit code 1 where one of the three does not hold.
 */
import { fileURLToPath } from "node:url";
import type { CacheOptions } from "../../src/cache/cache-options.ts";
import type { InferenceEngine } from "../../src/engine/engine.ts";
import { GREEDY, someTokens } from "../model/chat.ts";
import { loadRealModel } from "../model/real-model.ts";
import { loadTinyEngine } from "../model/tiny-engine.ts";
import { defaultModel } from "./default-model.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const WARM_UP = 256;
const FLAT = 0.05;

interface Model {
  load: (cache: CacheOptions) => Promise<InferenceEngine>;
  tokens: number;
}
const MODELS: Record<string, Model> = {
  tiny: { load: (cache) => loadTinyEngine({ ...cache, policy: "q-filters" }), tokens: 50_000 },
  real: { load: (cache) => loadRealModel({ ...cache, policy: "k-norm" }), tokens: 2000 },
};

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1]!;

async function soak(engine: InferenceEngine, tokens: number): Promise<Record<string, unknown>> {
  const chat = engine.conversation("soak");
  // Nothing ends the answer but its length.
  Object.assign(engine.tokenizer, { endTokens: new Set() });
  const wall: number[] = [];
  const cpu: number[] = [];
  let buffers = 0;
  let memory = "";
  let grown = 0;
  let last = performance.now();
  let used = process.cpuUsage();
  const sampling = { ...GREEDY, temperature: 1, seed: 1 };
  for await (const _ of chat.generate(someTokens(200), { sampling, maxTokens: tokens })) {
    const now = performance.now();
    const { user, system } = process.cpuUsage(used);
    wall.push(now - last);
    cpu.push((user + system) / 1000);
    last = now;
    used = process.cpuUsage();
    if (wall.length === WARM_UP) {
      buffers = engine.buffersCreated;
      memory = JSON.stringify(engine.memory());
    } else if (wall.length > WARM_UP && JSON.stringify(engine.memory()) !== memory) grown += 1;
    if (wall.length % 1000 === 0) console.error(`${wall.length} tokens`);
  }
  const steady = [wall, cpu].map((times) => times.slice(WARM_UP));
  const third = Math.floor(steady[0]!.length / 3);
  const [wallThirds, cpuThirds] = steady.map((times) =>
    [0, 1, 2].map((i) => median(times.slice(i * third, (i + 1) * third))),
  ) as [number[], number[]];
  const spread = (thirds: number[]) => Math.max(...thirds) / Math.min(...thirds) - 1;
  engine.internals.state.pool.checkIntegrity();
  return {
    adapter: engine.info().adapter.description,
    tokens: wall.length,
    buffersAfterWarmUp: engine.buffersCreated - buffers,
    tokensWithOtherMemory: grown,
    memory: engine.memory(),
    cache: chat.usage(),
    wallMedians: wallThirds,
    wallSpread: spread(wallThirds),
    cpuMedians: cpuThirds,
    cpuSpread: spread(cpuThirds),
    flat: spread(wallThirds) <= FLAT,
  };
}

/** `args`: the model's name and the number of tokens; returns the exit code. */
export async function main([name = "tiny", count]: readonly string[]): Promise<number> {
  if (name === "--help") {
    console.log(`usage: node tests/bench/soak.mjs [${Object.keys(MODELS).join("|")}] [TOKENS]`);
    return 0;
  }
  const model = MODELS[name];
  if (!model) throw new Error(`unknown model ${name}: there are ${Object.keys(MODELS).join(", ")}`);
  if (name === "real") process.env.WINNOW_MODEL = await defaultModel(root);
  const engine = await model.load({ budget: 128 });
  const report = await soak(engine, Number(count ?? model.tokens));
  await engine.close();
  console.log(JSON.stringify({ model: name, ...report }, undefined, 1));
  const { buffersAfterWarmUp, tokensWithOtherMemory, flat } = report;
  return buffersAfterWarmUp === 0 && tokensWithOtherMemory === 0 && flat ? 0 : 1;
}
