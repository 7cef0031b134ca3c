import { readFileSync } from "node:fs";
import type { ChatMessage } from "../../src/api/chat-types.ts";
import { median } from "../../src/cli/bench/statistics.ts";
import { textHaystack } from "../../src/eval/tasks/haystack.ts";
import { generatorOf } from "../../src/eval/tasks/index.ts";
import { createEngine } from "../../src/node.ts";
import { seededRandom } from "../../src/random.ts";
import { defaultModel } from "./default-model.ts";

const USAGE = "usage: node tests/bench/messages.mjs TEXT [BUDGET] [POLICY,...] [SEED,...]";

/** Tells for each policy how much it keeps of each exchange of a chat in which facts are told, corrected and talked past. */
export async function main([
  text = "--help",
  budget = "256",
  policies = "winnow,streaming-llm,k-norm",
  seeds = "1,2,3",
]: readonly string[]): Promise<number> {
  if (text === "--help") {
    console.log(USAGE);
    return 0;
  }
  const model = await defaultModel(".");
  const hay = textHaystack(readFileSync(text, "utf8"), "");
  console.log(
    "| seed | policy | tokens | exchanges | mean | least | median | below half the mean | none |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const seed of seeds.split(",").map(Number)) {
    const cell = { task: "corrections", depth: 0 } as Parameters<typeof generatorOf>[0];
    const { history } = generatorOf(cell, hay).make(seededRandom(seed), 14);
    for (const policy of policies.split(",")) {
      const { tokens, shares } = await sharesOf(
        model,
        { policy, budget: Number(budget) },
        history!,
      );
      const mean = Number(budget) / tokens;
      const row = [
        ...[seed, policy, tokens, shares.length],
        ...[mean, Math.min(...shares), median(shares)].map((share) => share.toFixed(3)),
        shares.filter((share) => share < mean / 2).length,
        shares.filter((share) => share === 0).length,
      ];
      console.log(`| ${row.join(" | ")} |`);
      console.error(shares.map((share) => share.toFixed(3)).join(" "));
    }
  }
  return 0;
}

/** Of each exchange, read one after the other: pairs that are kept of it, as a share of all that it had. */
async function sharesOf(
  model: string,
  cache: { policy: string; budget: number },
  history: readonly ChatMessage[],
): Promise<{ tokens: number; shares: number[] }> {
  const engine = await createEngine({ model, cache } as Parameters<typeof createEngine>[0]);
  const ends: number[] = [];
  for (let count = 2; count <= history.length; count += 2)
    ends.push((await engine.cache.read({ messages: history.slice(0, count) })).tokensSeen);
  const { heads, kept } = await engine.cache.retention();
  await engine.close();
  const shares = ends.map((end, i) => {
    const start = ends[i - 1] ?? 0;
    const pairs = kept.slice(start, end).reduce((sum, count) => sum + count, 0);
    return pairs / (heads * (end - start));
  });
  return { tokens: kept.length, shares };
}
