import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createMaskLogits } from "../../../src/kernels/sampling/mask-logits.ts";
import {
  createSample,
  promptCounts,
  SAMPLED_BYTES,
  samplingWords,
} from "../../../src/kernels/sampling/sample.ts";
import type { SamplingParameters } from "../../../src/kernels/sampling/sampling-parameters.ts";
import { seededRandom } from "../../../src/random.ts";
import fixtures from "../../reference/fixtures/sampling.json" with { type: "json" };
import { maskLogits, maskOf } from "../../reference/twins/sampling/mask-logits.ts";
import { distribution, penalise, sample } from "../../reference/twins/sampling/sample.ts";
import { readF32, readU32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const logitsOf = (count: number, seed: number): Float32Array<ArrayBuffer> => {
  const random = seededRandom(seed);
  return Float32Array.from({ length: count }, () => 8 * (random() - 0.5));
};

/** Logits [rows, V] after the mask of one row, and the tokens of `steps` draws from it. */
async function run(
  logits: Float32Array<ArrayBuffer>,
  mask: Uint32Array<ArrayBuffer>,
  parameters: SamplingParameters,
  { vocabulary = logits.length, seen = [] as number[], steps = 1 } = {},
): Promise<{ masked: Float32Array; tokens: number[] }> {
  const { ledger } = gpu;
  const kernel = await createSample(gpu, { vocabulary });
  const hide = await createMaskLogits(gpu, { vocabulary });
  const buffers = {
    sampling: ledger.uniform("sampling", samplingWords(parameters)),
    mask: upload(gpu, mask),
    logits: upload(gpu, logits),
    counts: upload(gpu, promptCounts(seen, vocabulary)),
    rows: upload(gpu, Uint32Array.of(0, 10, 3, 0)),
    scratch: ledger.storage("activations", "scratch", kernel.scratchBytes),
    sampled: ledger.storage("activations", "sampled", SAMPLED_BYTES),
  };
  const dispatches = [hide(buffers), ...kernel.dispatches(buffers)];
  gpu.run(Array.from({ length: steps }, () => dispatches).flat());
  const sampled = await readU32(gpu, buffers.sampled);
  const masked = await readF32(gpu, buffers.logits);
  for (const buffer of Object.values(buffers)) ledger.destroy(buffer);
  return { masked, tokens: Array.from({ length: steps }, (_, step) => sampled[4 + 4 * step]!) };
}

/** Each token with probability `share`, and `always`. */
function someOf(vocabulary: number, share: number, always: number): Uint32Array<ArrayBuffer> {
  const random = seededRandom(vocabulary);
  const tokens = Array.from({ length: vocabulary }, (_, token) => token);
  return maskOf([always, ...tokens.filter(() => random() < share)], vocabulary);
}

const sizes = [1, 7, 31, 32, 33, 2047, 2048, 2049, 49152, 262208];

test.each(sizes)("V = %i: the row's logits without the others", async (vocabulary) => {
  const logits = logitsOf(3 * vocabulary, vocabulary);
  const mask = someOf(vocabulary, 0.3, vocabulary - 1);
  const { masked } = await run(logits, mask, { temperature: 0, logitsRow: 1 }, { vocabulary });
  const expected = logits.slice();
  expected.set(
    Float32Array.from(maskLogits(logits.subarray(vocabulary, 2 * vocabulary), mask)),
    vocabulary,
  );
  expect(masked).toEqual(expected);
});

const settings: SamplingParameters[] = [
  { temperature: 0 },
  { temperature: 1 },
  { temperature: 0.7, topK: 5 },
  { temperature: 1.1, topP: 0.9, minP: 0.01 },
  { temperature: 2, topK: 40, repetitionPenalty: 0.01, frequencyPenalty: -2 },
];

describe("draws are those of the twin, and allowed", () => {
  for (const vocabulary of [7, 1000, 49152])
    for (const share of [0, 0.01, 0.5])
      test(`V = ${vocabulary}, ${share} of the tokens`, async () => {
        const logits = logitsOf(vocabulary, vocabulary);
        const mask = someOf(vocabulary, share, 3);
        const masked = maskLogits(logits, mask);
        for (const [i, setting] of settings.entries()) {
          const parameters = { ...setting, seed: i };
          const seen = [0, 1, 2, 3, 4];
          const counts = promptCounts(seen, vocabulary);
          const { tokens } = await run(logits, mask, parameters, { seen });
          expect(tokens).toEqual([sample(masked, counts, parameters, 0)]);
          expect((mask[tokens[0]! >>> 5]! >>> (tokens[0]! & 31)) & 1).toBe(1);
        }
      });
});

test("a token that is next to impossible is drawn where nothing else is allowed", async () => {
  const logits = new Float32Array(5000).fill(60);
  logits[4321] = -60;
  for (const temperature of [0, 0.1, 1, 5]) {
    const { tokens } = await run(
      logits,
      maskOf([4321], 5000),
      { temperature, topK: 50, topP: 0.9 },
      { steps: 4 },
    );
    expect(tokens).toEqual([4321, 4321, 4321, 4321]);
  }
});

test("against transformers on masked logits", async () => {
  const masked = fixtures.filter((fixture) => "allowed" in fixture);
  expect(masked.length).toBeGreaterThan(4);
  for (const fixture of masked) {
    const vocabulary = fixture.logits.length;
    const mask = maskOf(fixture.allowed!, vocabulary);
    const counts = promptCounts(fixture.seen, vocabulary);
    const logits = Float32Array.from(fixture.logits);
    const penalised = penalise(maskLogits(logits, mask), counts, fixture);
    const { kept, probabilities } = distribution(penalised, fixture);
    const likely = kept.filter((_, i) => probabilities[i]! > 0);
    expect(likely).toEqual(fixture.kept);
    likely.forEach((token, i) => {
      expect(probabilities[kept.indexOf(token)]).toBeCloseTo(fixture.probabilities[i]!, 6);
    });
    const { tokens } = await run(logits, mask, { ...fixture, seed: 5 }, { seen: fixture.seen });
    expect(fixture.kept).toContain(tokens[0]);
  }
});
