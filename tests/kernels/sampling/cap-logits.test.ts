import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createCapLogits } from "../../../src/kernels/sampling/cap-logits.ts";
import { seededRandom } from "../../../src/random.ts";
import { capLogits } from "../../reference/twins/sampling/cap-logits.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

test.each([
  [7, 1, 30],
  [300, 3, 4.5],
  [2049, 16, 30],
])(
  "%i logits, %i rows, capped at %f: what is no number stays so",
  async (vocabulary, rows, cap) => {
    const random = seededRandom(vocabulary);
    const length = (rows + 1) * vocabulary;
    const logits = Float32Array.from({ length }, () => 200 * (random() - 0.5));
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -3e38, 0];
    logits.set(odd);
    const buffer = upload(gpu, logits);
    gpu.run([(await createCapLogits(gpu, { vocabulary, cap }))(buffer)(rows)]);
    const found = await readF32(gpu, buffer);
    const capped = capLogits(logits, cap);
    logits.forEach((logit, i) => {
      if (i >= rows * vocabulary || !Number.isFinite(logit)) expect(found[i]).toBe(logit);
      else expect(Math.abs(found[i]! - capped[i]!), `[${i}]`).toBeLessThan(2e-5 * cap);
    });
    gpu.ledger.destroy(buffer);
  },
);
