import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import type { AdapterKind } from "../../../src/gpu/adapter-kind.ts";
import type { GpuContext } from "../../../src/gpu/context.ts";
import {
  createSample,
  LOGITS,
  promptCounts,
  SAMPLED_BYTES,
  SAMPLED_RING,
  SEEN,
  samplingWords,
} from "../../../src/kernels/sampling/sample.ts";
import type { SamplingParameters } from "../../../src/kernels/sampling/sampling-parameters.ts";
import { seededRandom } from "../../../src/random.ts";
import fixtures from "../../reference/fixtures/sampling.json" with { type: "json" };
import { argmax, distribution, penalise, sample } from "../../reference/twins/sampling/sample.ts";
import { readU32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

/** About normal: the sum of four uniforms. */
function normalLogits(vocabulary: number, seed: number, scale = 3): Float32Array<ArrayBuffer> {
  const random = seededRandom(seed);
  const normal = () => (random() + random() + random() + random() - 2) * Math.sqrt(3);
  return Float32Array.from({ length: vocabulary }, () => normal() * scale);
}

interface Outcome {
  tokens: number[];
  cutoff: number;
  counts: Uint32Array;
  rows: Uint32Array;
  ring: Uint32Array;
}

type Run = [
  logits: Float32Array<ArrayBuffer>,
  parameters: SamplingParameters,
  steps?: number,
  options?: { seen?: number[]; rows?: Uint32Array<ArrayBuffer>; vocabulary?: number },
];

/** What is drawn, by the kernel for a GPU and by that for a software adapter alike. */
async function run(...args: Run): Promise<Outcome> {
  const outcome = await runFor("gpu", ...args);
  expect(await runFor("cpu", ...args)).toEqual(outcome);
  return outcome;
}

/** `steps` steps with the same logits, in submits of at most a ring of steps. */
async function runFor(
  kind: AdapterKind,
  ...[logits, parameters, steps = 1, options = {}]: Run
): Promise<Outcome> {
  const { seen = [], rows = Uint32Array.of(0, 10, 3, 0), vocabulary = logits.length } = options;
  const kernel = await createSample(gpu, { vocabulary }, kind);
  const { ledger } = gpu;
  const buffers = {
    sampling: ledger.uniform("sampling", samplingWords(parameters)),
    logits: upload(gpu, logits),
    counts: upload(gpu, promptCounts(seen, vocabulary)),
    rows: upload(gpu, rows),
    scratch: ledger.storage("activations", "scratch", kernel.scratchBytes),
    sampled: ledger.storage("activations", "sampled", SAMPLED_BYTES),
  };
  const dispatches = kernel.dispatches(buffers);
  const tokens: number[] = [];
  let sampled: Uint32Array = new Uint32Array();
  while (tokens.length < steps) {
    const first = tokens.length;
    const batch = Math.min(SAMPLED_RING, steps - first);
    gpu.run(Array.from({ length: batch }, () => dispatches).flat());
    sampled = await readU32(gpu, buffers.sampled);
    for (let step = first; step < first + batch; step++)
      tokens.push(sampled[4 + 4 * (step % SAMPLED_RING)]!);
    expect(sampled[0]).toBe(first + batch);
  }
  const outcome = {
    tokens,
    cutoff: sampled[1]! / 2 ** 22,
    counts: await readU32(gpu, buffers.counts),
    rows: await readU32(gpu, buffers.rows),
    ring: sampled.slice(4),
  };
  for (const buffer of Object.values(buffers)) ledger.destroy(buffer);
  return outcome;
}

/** The twin over several steps, counts included. */
function twin(
  logits: ArrayLike<number>,
  parameters: SamplingParameters,
  steps: number,
  seen: number[] = [],
): { tokens: number[]; counts: Uint32Array } {
  const counts = promptCounts(seen, logits.length);
  const tokens: number[] = [];
  for (let step = 0; step < steps; step++) {
    const token = sample(logits, counts, parameters, step);
    counts[token] = ((counts[token]! + 1) | SEEN) >>> 0;
    tokens.push(token);
  }
  return { tokens, counts };
}

const sizes = [1, 7, 1000, 2048, 2049, 49152];
/** More than 18 bits of an index: Gemma 3 with images has 262,208 tokens. */
const large = [262208, 300000];

describe("greedy", () => {
  test.each([...sizes, 262144, ...large])("takes the highest of %i logits", async (vocabulary) => {
    const logits = normalLogits(vocabulary, vocabulary);
    const { tokens } = await run(logits, { temperature: 0 });
    expect(tokens).toEqual([argmax([...logits])]);
  });

  test.each(large)("the last of %i logits is reached", async (vocabulary) => {
    const logits = normalLogits(vocabulary, vocabulary);
    logits[vocabulary - 1] = 30;
    expect((await run(logits, { temperature: 0 })).tokens).toEqual([vocabulary - 1]);
    const { tokens } = await run(logits, { temperature: 1, topP: 0.5 }, 8);
    expect(tokens).toEqual(new Array(8).fill(vocabulary - 1));
  });

  test("the lowest index wins ties, within a block and between blocks", async () => {
    for (const at of [
      [0, 1, 2],
      [255, 256],
      [2047, 2048, 4000],
      [4000, 4999],
    ]) {
      const logits = new Float32Array(5000).fill(-1);
      for (const i of at) logits[i] = 2;
      expect((await run(logits, { temperature: 0 })).tokens).toEqual([at[0]]);
    }
    expect((await run(new Float32Array(3000), { temperature: 0 })).tokens).toEqual([0]);
  });

  test("infinities and NaN do no harm", async () => {
    const logits = Float32Array.of(Number.NaN, -Infinity, 3, 4, Number.NaN, -2);
    expect((await run(logits, { temperature: 0 })).tokens).toEqual([3]);
    expect((await run(logits, { temperature: 1, topP: 0.5 })).tokens).toEqual([3]);
    const state = async (...logits: number[]) =>
      (await run(Float32Array.from(logits), { temperature: 1, topK: 1 })).ring[3];
    expect(await state(-Infinity, 3, -1e30)).toBe(LOGITS.numbers);
    expect(await state(Number.NaN, 3, 4)).toBe(LOGITS.someAreNone);
    for (const none of [Number.NaN, -Infinity, Infinity])
      expect(await state(none, none, none)).toBe(LOGITS.useless);
    expect(await state(3, Infinity, 4)).toBe(LOGITS.useless);
    const many = new Array<number>(5000).fill(1);
    expect(await state(...many)).toBe(LOGITS.numbers);
    expect(await state(...many, Number.NaN)).toBe(LOGITS.someAreNone);
    expect((await run(new Float32Array(9).fill(-Infinity), { temperature: 0 })).tokens).toEqual([
      0,
    ]);
  });

  test("penalties, over 60 steps", async () => {
    const logits = normalLogits(1000, 3);
    for (const parameters of [
      { temperature: 0, repetitionPenalty: 1.3 },
      { temperature: 0, frequencyPenalty: 0.7 },
      { temperature: 0, presencePenalty: 1.5 },
      { temperature: 0, repetitionPenalty: 1.1, frequencyPenalty: 0.2, presencePenalty: -0.1 },
    ]) {
      const seen = [1, 2, 3, 500, 999];
      const expected = twin(logits, parameters, 60, seen);
      const found = await run(logits, parameters, 60, { seen });
      expect(found.tokens).toEqual(expected.tokens);
      expect(found.counts).toEqual(expected.counts);
    }
  });

  test("repetition divides what is positive and multiplies what is negative; the prompt counts for it alone", async () => {
    const seen = [0, 2];
    const greedy = async (values: number[], extra: Partial<SamplingParameters>) =>
      (await run(Float32Array.from(values), { temperature: 0, ...extra }, 1, { seen })).tokens[0];
    expect(await greedy([4, 2.1, -5], { repetitionPenalty: 2 })).toBe(1);
    expect(await greedy([4, 1.9, -5], { repetitionPenalty: 2 })).toBe(0);
    expect(await greedy([-9, -3.9, -2], { repetitionPenalty: 2 })).toBe(1);
    expect(await greedy([-9, -4.1, -2], { repetitionPenalty: 2 })).toBe(2);
    expect(await greedy([4, 3, 0], { frequencyPenalty: 2, presencePenalty: 2 })).toBe(0);
  });
});

test("token, position, count and ring are written; other rows stay", async () => {
  const vocabulary = 50;
  const logits = normalLogits(3 * vocabulary, 4);
  const rows = Uint32Array.from({ length: 16 }, (_, i) => 100 + i);
  const parameters = { temperature: 0, logitsRow: 2, row: 3 };
  const {
    tokens,
    rows: after,
    ring,
    counts,
  } = await run(logits, parameters, 70, { rows, vocabulary });
  const token = argmax([...logits.subarray(100)]);
  expect(tokens).toEqual(new Array(70).fill(token));
  const expected = rows.slice();
  expected[12] = token;
  expected[13]! += 70;
  expect(after).toEqual(expected);
  expect(counts[token]).toBe(SEEN + 70);
  for (let step = 6; step < 70; step++)
    expect([...ring.subarray(4 * (step % 64), 4 * (step % 64) + 4)]).toEqual([
      token,
      step,
      113 + step + 1,
      0, // the logits are numbers
    ]);
});

const settings: Omit<SamplingParameters, "temperature">[] = [
  {},
  { topK: 5 },
  { topP: 0.9 },
  { minP: 0.1 },
  { topK: 40, topP: 0.95, minP: 0.02 },
  { topP: 0.95, repetitionPenalty: 1.2, frequencyPenalty: 0.3, presencePenalty: 0.2 },
];

describe("sampling against its twin", () => {
  for (const vocabulary of sizes)
    test(`V = ${vocabulary}: tokens of 32 steps`, async () => {
      const logits = normalLogits(vocabulary, vocabulary);
      const steps = vocabulary > 10_000 ? 12 : 32;
      for (const [i, setting] of settings.entries()) {
        const parameters = { ...setting, temperature: i % 2 ? 0.7 : 1.1, seed: 2 ** 40 + i };
        const seen = [0, vocabulary >> 1];
        const found = await run(logits, parameters, steps, { seen });
        expect(found.tokens, JSON.stringify(parameters)).toEqual(
          twin(logits, parameters, steps, seen).tokens,
        );
      }
    });

  test.each(large)("V = %i: the last 64 tokens hold what is drawn", async (vocabulary) => {
    const logits = new Float32Array(vocabulary).fill(-20);
    logits.set(normalLogits(64, 9, 1), vocabulary - 64);
    for (const setting of [{}, { topK: 20 }, { topP: 0.9 }]) {
      const parameters = { ...setting, temperature: 1, seed: 4 };
      const { tokens } = await run(logits, parameters, 8);
      expect(tokens).toEqual(twin(logits, parameters, 8).tokens);
      for (const token of tokens) expect(token).toBeGreaterThanOrEqual(vocabulary - 64);
    }
  });

  test("2^20 - 1 equal logits: all may be drawn", async () => {
    const logits = new Float32Array(2 ** 20 - 1);
    const { tokens } = await run(logits, { temperature: 1, seed: 3 }, 4);
    expect(tokens).toEqual(twin(logits, { temperature: 1, seed: 3 }, 4).tokens);
  });

  test("same seed, same tokens; another seed, others", async () => {
    const logits = normalLogits(1000, 6);
    const at = async (seed: number) => (await run(logits, { temperature: 1, seed }, 40)).tokens;
    const first = await at(12);
    expect(await at(12)).toEqual(first);
    for (const other of [13, 12 + 2 ** 32]) expect(await at(other)).not.toEqual(first);
  });

  test("equal logits: top-k and top-p keep ties, all are drawn", async () => {
    const logits = new Float32Array(16);
    const { tokens, cutoff } = await run(logits, { temperature: 1, topK: 3, topP: 0.5 }, 256);
    expect(cutoff).toBe(0);
    expect(new Set(tokens).size).toBe(16);
  });

  test("temperatures from nearly greedy to nearly uniform", async () => {
    const logits = normalLogits(500, 8);
    for (const temperature of [1e-9, 1e-3, 0.1, 10, 1e6]) {
      const parameters = { temperature, seed: 5 };
      const { tokens } = await run(logits, parameters, 20);
      expect(tokens).toEqual(twin(logits, parameters, 20).tokens);
    }
  });
});

/** Tokens within the cutoff, but for those whose probability ties with the boundary's within 1e-6. */
function compareKept(distances: number[], kept: number[], cutoff: number): void {
  const expected = new Set(kept);
  const boundary = Math.max(...kept.map((i) => distances[i]!));
  const wrong = distances.flatMap((d, i) =>
    d <= cutoff + 2 ** -22 === expected.has(i) || Math.abs(d - boundary) < 1e-6 ? [] : [i],
  );
  expect(wrong).toEqual([]);
}

describe("the kept set", () => {
  for (const vocabulary of [7, 1000, 49152])
    test(`V = ${vocabulary}, against a sort`, async () => {
      const logits = normalLogits(vocabulary, vocabulary + 1);
      for (const temperature of [0.6, 1.5])
        for (const setting of [
          { topK: 1 },
          { topK: 50 },
          { topK: vocabulary - 1 },
          { topP: 0.001 },
          { topP: 0.5 },
          { topP: 0.999 },
          { minP: 0.3 },
          { minP: 1 },
          { topK: 100, topP: 0.8, minP: 0.01 },
        ]) {
          const parameters = { temperature, ...setting };
          const { cutoff } = await run(logits, parameters);
          const { distances, kept } = distribution([...logits], parameters);
          compareKept(distances, kept, cutoff);
        }
    });

  test("against transformers", async () => {
    // Masked ones are in mask-logits.test.ts.
    for (const fixture of fixtures.filter((one) => !("allowed" in one))) {
      const logits = Float32Array.from(fixture.logits);
      const { cutoff } = await run(logits, fixture, 1, { seen: fixture.seen });
      const penalised = penalise(logits, promptCounts(fixture.seen, logits.length), fixture);
      const { distances, kept, probabilities } = distribution(penalised, fixture);
      compareKept(distances, fixture.kept, cutoff);
      expect(kept).toEqual(fixture.kept);
      probabilities.forEach((p, i) => {
        expect(p).toBeCloseTo(fixture.probabilities[i]!, 6);
      });
    }
  });
});

describe("chi-square of 1,024 draws", () => {
  for (const [name, vocabulary, parameters, critical] of [
    // Critical values at p = 0.001 for 6, 19 and 15 degrees of freedom.
    ["V = 7", 7, { temperature: 1.5, seed: 1 }, 22.458],
    ["V = 1000, top-k 20", 1000, { temperature: 2, topK: 20, seed: 2 }, 43.82],
    ["V = 3000, 16 runs of tokens", 3000, { temperature: 1, seed: 3 }, 37.697],
  ] as const)
    test(name, async () => {
      const logits = normalLogits(vocabulary, 21, 1);
      const { kept, probabilities } = distribution([...logits], parameters);
      const { tokens } = await run(logits, parameters, 1024);
      const bins = Math.min(kept.length, vocabulary > 2000 ? 16 : kept.length);
      const bin = (i: number) => Math.floor((i * bins) / kept.length);
      const expected = new Array<number>(bins).fill(0);
      const found = new Array<number>(bins).fill(0);
      probabilities.forEach((p, i) => {
        expected[bin(i)]! += 1024 * p;
      });
      for (const token of tokens) {
        const i = kept.indexOf(token);
        expect(i).toBeGreaterThanOrEqual(0);
        found[bin(i)]! += 1;
      }
      const statistic = found.reduce(
        (sum, n, b) => sum + (n - expected[b]!) ** 2 / expected[b]!,
        0,
      );
      expect(statistic).toBeLessThan(critical);
    });
});

describe("parameters out of range", () => {
  const bad: [string, Partial<SamplingParameters>][] = [
    ["temperature", { temperature: -1 }],
    ["temperature", { temperature: Number.NaN }],
    ["topK", { topK: 1.5 }],
    ["topP", { topP: -0.01 }],
    ["topP", { topP: 1.01 }],
    ["minP", { minP: -0.1 }],
    ["repetitionPenalty", { repetitionPenalty: 0 }],
    ["frequencyPenalty", { frequencyPenalty: Infinity }],
    ["presencePenalty", { presencePenalty: Number.NaN }],
    ["seed", { seed: -1 }],
    ["seed", { seed: 2 ** 53 }],
  ];
  test.each(bad)("%s: %o", (field, parameters) => {
    try {
      samplingWords({ temperature: 1, ...parameters });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(WinnowError);
      expect((error as WinnowError).code).toBe("internal");
      expect((error as WinnowError).message).toContain(field);
    }
  });

  test("a vocabulary too large", async () => {
    await expect(createSample(gpu, { vocabulary: 2 ** 20 })).rejects.toThrow("vocabulary");
    await expect(createSample(gpu, { vocabulary: 0 })).rejects.toThrow("vocabulary");
  });
});
