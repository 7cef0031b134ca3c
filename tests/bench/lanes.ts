import { create, globals } from "webgpu";
import { median } from "../../src/cli/bench/statistics.ts";
import { InferenceEngine } from "../../src/engine/engine.ts";
import { NodeFileSource } from "../../src/formats/node-source.ts";
import { easeWaits } from "../../src/node/dawn-waits.ts";

/** Prints tokens/s by lanes; rounds take turns, so that a busy machine slows all of them alike. */
export async function main([
  path = "--help",
  counts = "1,4,8,16",
  steps = "4",
  rounds = "5",
]: readonly string[]): Promise<number> {
  if (path === "--help") {
    console.log("usage: node tests/bench/lanes.mjs MODEL.gguf [LANES,...] [STEPS] [ROUNDS]");
    return 0;
  }
  Object.assign(globalThis, globals);
  easeWaits(GPUQueue, GPUBuffer);
  const lanes = counts.split(",").map(Number);
  const engine = await InferenceEngine.load(create([]), {
    source: await NodeFileSource.open(path),
    name: path,
    cache: { policy: "full" },
  });
  const rates = new Map(lanes.map((count) => [count, [] as number[]]));
  for (let round = -1; round < Number(rounds); round += 1)
    for (const count of lanes) {
      const rate = await tokensPerSecond(engine, count, Number(steps));
      // The first round compiles.
      if (round >= 0) rates.get(count)!.push(rate);
      console.error(`round ${round}: ${count} lanes, ${rate.toFixed(2)} tokens/s`);
    }
  const one = median(rates.get(lanes[0]!)!);
  for (const [count, samples] of rates)
    console.log(
      `${count} lanes: ${median(samples).toFixed(2)} tokens/s, ${(median(samples) / one).toFixed(2)} times ${lanes[0]} ` +
        `(${samples.map((rate) => rate.toFixed(2)).join(", ")})`,
    );
  await engine.close();
  return 0;
}

const tokensPerSecond = (engine: InferenceEngine, count: number, steps: number): Promise<number> =>
  engine.lanes(count, async (group) => {
    const open = await Promise.all(
      Array.from({ length: count }, () => group.add({ policy: "full" })),
    );
    const step = (at: number) =>
      group.step(open.map((lane, i) => ({ lane, token: 100 + 7 * i + at, target: 200 + at })));
    await step(0);
    const start = performance.now();
    for (let at = 1; at <= steps; at += 1) await step(at);
    return (1000 * count * steps) / (performance.now() - start);
  });
