import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import {
  addedBias,
  biasWords,
  createBiasLogits,
} from "../../../src/kernels/sampling/bias-logits.ts";
import { samplingWords } from "../../../src/kernels/sampling/sample.ts";
import { seededRandom } from "../../../src/random.ts";
import { normals } from "../../reference/twins/pages/paged-cache.ts";
import { biasLogits } from "../../reference/twins/sampling/bias-logits.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

test.each([
  [7, 1],
  [1000, 64],
  [1000, 65],
  [49152, 500],
])("V = %i, %i biases: those of one row", async (vocabulary, count) => {
  const logits = normals(seededRandom(vocabulary), 2 * vocabulary, 5);
  const random = seededRandom(count);
  const biases = new Map<number, number>([
    [vocabulary - 1, -100],
    [0, 100],
  ]);
  while (biases.size < count + 1)
    biases.set(Math.floor(random() * vocabulary), 20 * (random() - 0.5));
  const buffers = {
    sampling: gpu.ledger.uniform("sampling", samplingWords({ temperature: 0, logitsRow: 1 })),
    biases: upload(gpu, biasWords(biases)),
    logits: upload(gpu, logits),
  };
  const kernel = await createBiasLogits(gpu, { vocabulary });
  gpu.run([kernel(buffers, biases.size)]);
  const found = await readF32(gpu, buffers.logits);
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
  const added = new Map([...biases].map(([token, bias]) => [token, Math.fround(addedBias(bias))]));
  const expected = [
    ...logits.subarray(0, vocabulary),
    ...biasLogits(logits.subarray(vocabulary), added),
  ];
  expect(found).toEqual(Float32Array.from(expected));
});
