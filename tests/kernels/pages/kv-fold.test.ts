import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { layerShapeWords } from "../../../src/kernels/pages/cache-shape.ts";
import { foldStride } from "../../../src/kernels/pages/fold.ts";
import { createKvFold } from "../../../src/kernels/pages/kv-fold.ts";
import { KV_STORAGES } from "../../../src/kernels/pages/page-format.ts";
import { inverseFrequencies, ropeTable } from "../../../src/kernels/rope-table.ts";
import { seededRandom } from "../../../src/random.ts";
import { kvFold } from "../../reference/twins/pages/kv-fold.ts";
import {
  laneWords,
  normals,
  PagedCache,
  PLAIN_LANE,
  randomPairs,
} from "../../reference/twins/pages/paged-cache.ts";
import { readU32, testGpu, upload } from "../gpu.ts";

const TRAINED = 256;
const STRIDE = foldStride(TRAINED);
/** Of the largest |key|, how far a key may be from its twin: a step of the storage. */
const NEAR = { f32: 1e-6, f16: 1e-3, q8: 9e-3 };

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

for (const storage of KV_STORAGES)
  test.each([
    [64, 3, 100, 1],
    [64, 1, 0, 1],
    [128, 2, 33, 2],
    [80, 2, 70, 5],
    [24, 1, 40, 3],
    [256, 2, 5, 40],
  ])(
    `${storage}, D %i, %i kv heads, %i pairs: fold %i turns keys, and nothing else`,
    async (headDim, kvHeads, count, folds) => {
      const shape = { layers: 2, heads: kvHeads, kvHeads, headDim, storage, trained: TRAINED };
      const cache = new PagedCache(shape, { layer: 1, lanes: 2, maxPages: 4, pageCount: 16 });
      const random = seededRandom(count + headDim);
      const step = Math.floor(((folds + 2) * STRIDE) / Math.max(1, count));
      for (let g = 0; g < kvHeads; g += 1) {
        const pairs = randomPairs(random, headDim, count, { step });
        cache.fill(1, g, count, random() < 0.5 ? pairs : pairs.toReversed());
        cache.remainder(1, g).set(normals(random, 2 + 2 * headDim, 20));
      }
      const lane = { ...PLAIN_LANE, remembers: 1, folds };
      const frequencies = inverseFrequencies(headDim, 10000);
      const fold = await createKvFold(gpu, shape);
      const [pages, tables] = [upload(gpu, cache.pages), upload(gpu, cache.tables)];
      const buffers = {
        shape: gpu.ledger.uniform("shape", layerShapeWords(shape, 1, cache.maxPages, 1)),
        lane: gpu.ledger.uniform("lane", Uint32Array.of(1, 0, 0, 0)),
        lanes: upload(gpu, laneWords([PLAIN_LANE, lane])),
        tables,
        pages,
        rope_table: upload(gpu, ropeTable(frequencies, 8 * STRIDE)),
      };
      gpu.run([fold.dispatch(buffers, kvHeads)]);

      const found = cache.clone();
      found.pages.set(await readU32(gpu, pages));
      found.tables.set(await readU32(gpu, tables));
      const expected = cache.clone();
      for (let g = 0; g < kvHeads; g += 1)
        kvFold(expected, 1, g, { folds, stride: STRIDE, inverseFrequencies: frequencies });
      for (let g = 0; g < kvHeads; g += 1) {
        const twins = expected.pairs(1, g);
        const before = cache.pairs(1, g);
        found.pairs(1, g).forEach(({ key, ...rest }, slot) => {
          const { key: twin } = twins[slot]!;
          const { key: _, ...others } = before[slot]!;
          expect(rest).toEqual(others);
          const most = Math.max(...twin.map(Math.abs));
          const error = Math.max(...key.map((x, i) => Math.abs(x - twin[i]!)));
          expect(error / most).toBeLessThan(NEAR[storage]);
        });
        const sums = expected.remainder(1, g);
        found.remainder(1, g).forEach((x, i) => {
          expect(Math.abs(x - sums[i]!)).toBeLessThan(2e-4);
        });
      }
      // Whoever shares the slab is left alone.
      expect(found.remainder(0, 0)).toEqual(cache.remainder(0, 0));
    },
  );
