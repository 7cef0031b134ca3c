import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../src/gpu/context.ts";
import { layerShapeWords } from "../../src/kernels/cache-shape.ts";
import { KV_STORAGES } from "../../src/kernels/page-format.ts";
import { createRescore } from "../../src/kernels/rescore.ts";
import { keyScore } from "../reference/kv-write.ts";
import { laneWords, normals, PagedCache, randomPairs, uniform } from "../reference/paged-cache.ts";
import { readU32, testGpu, upload } from "./gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const LANE = { dot: -0.7, norm: 0.4, position: 0.01, random: 0, window: 4, sinks: 1, seed: 1 };

describe.each(KV_STORAGES)("rescore, pages of %s", (storage) => {
  test.each([
    [24, 40],
    [64, 100],
    [256, 33],
  ])("D %i: scores of %i keys as stored, and nothing else", async (headDim, count) => {
    const shape = { layers: 2, heads: 4, kvHeads: 2, headDim, storage };
    const random = uniform(count);
    const cache = new PagedCache(shape, { layer: 1, lanes: 2, maxPages: 5, pageCount: 20 });
    for (const lane of [0, 1])
      for (const g of [0, 1]) cache.fill(lane, g, count, randomPairs(random, headDim, count - g));
    const filters = normals(random, 2 * 2 * headDim);
    const kernel = await createRescore(gpu, shape);
    const pages = upload(gpu, cache.pages);
    const bindings = kernel.bind(
      gpu.ledger.uniform("shape", layerShapeWords(shape, 1, cache.maxPages, 1)),
      gpu.ledger.uniform("lane", Uint32Array.of(1, 0, count - 1, 0)),
      upload(gpu, cache.tables),
      upload(gpu, laneWords([LANE, LANE])),
      upload(gpu, filters),
      pages,
    );
    gpu.run([{ kernel, bindings, workgroups: [2, 2] }]);
    const after = cache.clone();
    after.pages.set(await readU32(gpu, pages));
    const expected = cache.clone();
    for (const g of [0, 1])
      cache.pairs(1, g).forEach((pair, slot) => {
        const head = 2 + g;
        const filter = filters.subarray(head * headDim, (head + 1) * headDim);
        const score = keyScore(LANE, pair.key, filter, pair.position, head);
        const found = after.get(1, g, slot).score;
        expect(Math.abs(found - score)).toBeLessThan(1e-3);
        expected.setScore(1, g, slot, found);
      });
    expect(after.pages).toEqual(expected.pages);
  });
});
