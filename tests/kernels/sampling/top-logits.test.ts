import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import {
  createSample,
  promptCounts,
  SAMPLED_BYTES,
  samplingWords,
} from "../../../src/kernels/sampling/sample.ts";
import {
  createTopLogits,
  readScores,
  SCORE_WORDS,
  TOP,
} from "../../../src/kernels/sampling/top-logits.ts";
import { seededRandom } from "../../../src/random.ts";
import { normals } from "../../reference/twins/pages/paged-cache.ts";
import { topLogits } from "../../reference/twins/sampling/top-logits.ts";
import { readU32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

/** The scores of row `row` around a greedy draw. */
async function run(
  logits: Float32Array<ArrayBuffer>,
  vocabulary: number,
  { count = 20, row = 0, workgroup = 256, temperature = 0, seed = 1 } = {},
) {
  const { ledger } = gpu;
  const sample = await createSample(gpu, { vocabulary });
  const kernel = await createTopLogits(gpu, { vocabulary }, workgroup);
  const rows = logits.length / vocabulary;
  const buffers = {
    sampling: ledger.uniform("sampling", samplingWords({ temperature, seed, logitsRow: row })),
    highest: ledger.uniform("top", TOP.pack({ count })),
    logits: upload(gpu, logits),
    counts: upload(gpu, promptCounts([], vocabulary)),
    rows: upload(gpu, Uint32Array.of(0, 10, 3, 0)),
    scratch: ledger.storage("activations", "scratch", sample.scratchBytes),
    sampled: ledger.storage("activations", "sampled", SAMPLED_BYTES),
    scores: upload(gpu, new Uint32Array(rows * SCORE_WORDS).fill(77)),
  };
  gpu.run([kernel.before(buffers), ...sample.dispatches(buffers), kernel.behind(buffers)]);
  const scores = await readU32(gpu, buffers.scores);
  const token = (await readU32(gpu, buffers.sampled))[4]!;
  for (const buffer of Object.values(buffers)) ledger.destroy(buffer);
  return { token, words: scores.subarray(row * SCORE_WORDS, (row + 1) * SCORE_WORDS), scores };
}

const sizes = [1, 7, 19, 256, 257, 1000, 49152, 262208];

test.each(
  sizes.flatMap((v) => [
    [v, 256],
    [v, 16],
  ]),
)("V = %i, workgroups of %i: as log_softmax has it", async (vocabulary, workgroup) => {
  const logits = normals(seededRandom(vocabulary!), 3 * vocabulary!, 5);
  for (const row of [0, 2]) {
    const { words, token, scores } = await run(logits, vocabulary!, {
      row,
      workgroup: workgroup!,
      temperature: 1,
      seed: row,
    });
    const own = logits.subarray(row * vocabulary!, (row + 1) * vocabulary!);
    const { sum, top } = topLogits(own, 20);
    const told = readScores(words);
    expect(told.top.map((entry) => entry.token)).toEqual(top.map((entry) => entry.token));
    told.top.forEach(({ logprob }, i) => {
      expect(logprob).toBeCloseTo(top[i]!.logit - sum, 4);
    });
    expect(told.logprob).toBeCloseTo(own[token]! - sum, 4);
    expect(scores[(row === 0 ? 2 : 0) * SCORE_WORDS]).toBe(77);
  }
});

test.each([0, 1, 5])("%i of the highest, and nothing behind them", async (count) => {
  const { words } = await run(normals(seededRandom(3), 1000, 3), 1000, { count });
  expect([...words.subarray(2 + 2 * count)]).toEqual(new Array(40 - 2 * count).fill(77));
});

test("equals come in order of their tokens; fewer tokens than are asked for are all of them", async () => {
  const equal = await run(new Float32Array(600).fill(2), 600);
  expect(readScores(equal.words).top.map(({ token }) => token)).toEqual(
    Array.from({ length: 20 }, (_, i) => i),
  );
  const few = await run(Float32Array.of(1, 3, 2), 3);
  expect(readScores(few.words).top.map(({ token }) => token)).toEqual([1, 2, 0]);
});

test("logits far from zero, and some that are no numbers", async () => {
  const vocabulary = 1000;
  const logits = normals(seededRandom(5), vocabulary).map((x) => x + 1e4);
  const { words } = await run(new Float32Array(logits), vocabulary);
  const { sum, top } = topLogits(logits, 20);
  readScores(words).top.forEach(({ logprob }, i) => {
    expect(Math.abs(logprob - (top[i]!.logit - sum))).toBeLessThan(2e-3);
  });
  const broken = Float32Array.of(Number.NaN, 1, Number.NEGATIVE_INFINITY, 2);
  const told = readScores((await run(broken, 4)).words);
  expect(told.top.map(({ token }) => token).slice(0, 2)).toEqual([3, 1]);
  expect(told.top[0]!.logprob).toBeCloseTo(-Math.log(1 + Math.exp(-1)), 5);
});
