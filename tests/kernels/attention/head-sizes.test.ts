import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createGatherHeads, createSpreadHeads } from "../../../src/kernels/attention/head-sizes.ts";
import { seededRandom } from "../../../src/random.ts";
import { gatherHeads, spreadHeads } from "../../reference/twins/attention/head-sizes.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

/** [H, G, D, size, queries alone, rows] */
const CASES = [
  [6, 2, 48, 16, false, 3],
  [6, 2, 48, 16, true, 2],
  [8, 1, 512, 256, false, 2],
  [8, 1, 512, 512, true, 1],
  [2, 2, 8, 2, false, 130],
] as const;

test.each(CASES)(
  "%i heads, %i kv heads of %i, from %i, queries alone: %s, %i rows: as the twins, nothing beyond",
  async (heads, kvHeads, headDim, size, queriesOnly, rows) => {
    const random = seededRandom(headDim + size);
    const floats = (length: number) => Float32Array.from({ length }, () => 4 * random() - 2);
    const config = { heads, kvHeads, headDim, size, queriesOnly, epsilon: 1e-3, scale: 1.7 };
    const given = queriesOnly ? heads : heads + 2 * kvHeads;
    const x = floats(rows * given * size);
    const gains = floats(2 * size);
    const before = floats((rows + 1) * (heads + 2 * kvHeads) * headDim);
    const buffers = { x: upload(gpu, x), gains: upload(gpu, gains), qkv: upload(gpu, before) };
    const y = upload(gpu, floats(rows * heads * size));
    const gather = (await createGatherHeads(gpu, config))({ attended: buffers.qkv, y });
    gpu.run([(await createSpreadHeads(gpu, config))(buffers)(rows)]);
    const found = await readF32(gpu, buffers.qkv);
    const expected = spreadHeads(x, gains, before, rows, config);
    for (let i = 0; i < expected.length; i += 1)
      expect(Math.abs(found[i]! - expected[i]!), `[${i}]`).toBeLessThan(1e-5);
    gpu.run([gather(rows)]);
    expect(await readF32(gpu, y)).toEqual(gatherHeads(found, rows, config));
    for (const buffer of [...Object.values(buffers), y]) gpu.ledger.destroy(buffer);
  },
);
