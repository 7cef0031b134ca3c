import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createNll } from "../../../src/kernels/sampling/nll.ts";
import { seededRandom } from "../../../src/random.ts";
import { normals } from "../../reference/twins/pages/paged-cache.ts";
import { nll } from "../../reference/twins/sampling/nll.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

/** Losses of `targets.length` rows, written behind `out` untouched entries. */
async function run(
  logits: Float32Array,
  vocabulary: number,
  targets: number[],
  out = 0,
  size = 256,
) {
  const kernel = await createNll(gpu, size);
  const params = gpu.ledger.uniform("nll", new Uint32Array([vocabulary, out, 0, 0]));
  const losses = upload(gpu, new Float32Array(targets.length + out + 2).fill(-1));
  const buffers = {
    params,
    logits: upload(gpu, logits),
    targets: upload(gpu, Uint32Array.from(targets)),
    nll: losses,
  };
  gpu.run([kernel.dispatch(buffers, [targets.length])]);
  return readF32(gpu, losses);
}

const rowOf = (logits: Float32Array, vocabulary: number, r: number) =>
  logits.subarray(r * vocabulary, (r + 1) * vocabulary);

describe("nll", () => {
  test.each(
    [7, 256, 257, 1000, 49152].flatMap((v) => [
      [v, 256],
      [v, 16],
    ]),
  )("V %i, workgroups of %i", async (vocabulary, size) => {
    const logits = normals(seededRandom(vocabulary!), 3 * vocabulary!, 5);
    const targets = [0, vocabulary! - 1, vocabulary! >> 1];
    const losses = await run(logits, vocabulary!, targets, 2, size);
    targets.forEach((target, r) => {
      expect(losses[2 + r]).toBeCloseTo(nll(rowOf(logits, vocabulary!, r), target), 4);
    });
    expect([...losses.subarray(0, 2), ...losses.subarray(5)]).toEqual([-1, -1, -1, -1]);
  });

  test("logits far from zero, one far above the rest, and -Infinity", async () => {
    const vocabulary = 1000;
    const logits = normals(seededRandom(5), 4 * vocabulary);
    for (let v = 0; v < vocabulary; v += 1) {
      logits[v]! += 1e4;
      logits[vocabulary + v]! -= 1e4;
    }
    logits[2 * vocabulary + 999] = 3000;
    logits.fill(Number.NEGATIVE_INFINITY, 3 * vocabulary, 4 * vocabulary - 3);
    const targets = [3, 500, 999, 998];
    const losses = await run(logits, vocabulary, targets);
    targets.forEach((target, r) => {
      const expected = nll(rowOf(logits, vocabulary, r), target);
      // Near 1e4 one f32 step is 1e-3.
      expect(Math.abs(losses[r]! - expected)).toBeLessThan(r < 2 ? 2e-3 : 1e-5);
    });
  });
});
