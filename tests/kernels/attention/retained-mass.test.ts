import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createRetainedMass } from "../../../src/kernels/attention/retained-mass.ts";
import { type CacheShape, layerShapeWords } from "../../../src/kernels/pages/cache-shape.ts";
import { KV_STORAGES, type KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { seededRandom } from "../../../src/random.ts";
import { attentionWeights, retainedSum } from "../../reference/twins/attention/retained-mass.ts";
import {
  normals,
  PagedCache,
  randomPairs,
  rowWords,
} from "../../reference/twins/pages/paged-cache.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const [LAYERS, LAYER] = [3, 1];

interface Case {
  headDim: number;
  kvHeads: number;
  group: number;
  /** Tokens seen, and of each further lane what each head holds: so many of them. */
  tokens: number;
  held: readonly number[];
  storage?: KvStorage;
}

/** Sums of the GPU [R][H], and of the twin. */
async function sums({ headDim, kvHeads, group, tokens, held, storage = "f16" }: Case) {
  const heads = group * kvHeads;
  const shape: CacheShape = { layers: LAYERS, heads, kvHeads, headDim, storage };
  const random = seededRandom(7);
  const lanes = 1 + held.length;
  const maxPages = Math.ceil(Math.max(tokens, ...held) / 32) + 1;
  const options = { layer: LAYER, lanes, maxPages, pageCount: lanes * kvHeads * maxPages, seed: 3 };
  const cache = new PagedCache(shape, options);
  // Lanes are not in the order of the step's rows.
  const laneOf = (row: number): number => lanes - 1 - row;
  for (let g = 0; g < kvHeads; g += 1) {
    const all = randomPairs(random, headDim, tokens);
    cache.fill(laneOf(0), g, tokens, all);
    held.forEach((count, i) => {
      const some = all.map((pair) => ({ pair, key: random() })).sort((a, b) => a.key - b.key);
      // Of a row's own keys nothing is read.
      const own = some.slice(0, count).map(({ pair }) => ({ ...pair, key: pair.key.map(() => 9) }));
      cache.fill(laneOf(i + 1), g, Math.max(1, count), own);
    });
  }
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = normals(random, lanes * width, 1.5);
  const rows = Array.from({ length: lanes }, (_, row) => ({
    position: tokens - 1,
    lane: laneOf(row),
  }));
  const kernel = await createRetainedMass(gpu, shape);
  const output = upload(gpu, new Float32Array(LAYERS * lanes * heads).fill(-1));
  const buffers = {
    shape: gpu.ledger.uniform("shape", layerShapeWords(shape, LAYER, maxPages, 1)),
    rows: upload(gpu, rowWords(rows)),
    tables: upload(gpu, cache.tables),
    qkv: upload(gpu, qkv),
    pages: upload(gpu, cache.pages),
    weights: upload(gpu, new Float32Array(heads * (tokens + 5)).fill(Number.NaN)),
    sums: output,
  };
  gpu.run(kernel.dispatches(buffers, lanes));
  const all = await readF32(gpu, output);
  // Other layers' parts are left alone.
  const part = lanes * heads;
  expect(all.subarray(0, part).every((x) => x === -1)).toBe(true);
  expect(all.subarray(2 * part).every((x) => x === -1)).toBe(true);
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
  const found = rows.map((_, row) => [
    ...all.subarray(part + row * heads, part + (row + 1) * heads),
  ]);
  const wanted = rows.map(({ lane }) =>
    Array.from({ length: heads }, (_, head) => {
      const g = Math.floor(head / group);
      const query = qkv.subarray(head * headDim, (head + 1) * headDim);
      return retainedSum(attentionWeights(query, cache.pairs(laneOf(0), g)), cache.pairs(lane, g));
    }),
  );
  return { found, wanted };
}

function expectNear(found: readonly number[][], wanted: readonly number[][]): void {
  const [all] = wanted as [number[]];
  found.forEach((list, row) => {
    list.forEach((sum, head) => {
      // As shares of all attention of the head.
      const error = Math.abs(sum - wanted[row]![head]!) / all[head]!;
      expect(error, `row ${row}, head ${head}`).toBeLessThan(2e-5);
    });
  });
}

describe("retained mass against the twin", () => {
  test.each<Case>([
    { headDim: 16, kvHeads: 2, group: 2, tokens: 1, held: [1, 0] },
    { headDim: 64, kvHeads: 3, group: 3, tokens: 200, held: [0, 1, 63, 64, 65, 199, 200] },
    { headDim: 256, kvHeads: 1, group: 4, tokens: 97, held: [40] },
    { headDim: 8, kvHeads: 1, group: 1, tokens: 700, held: [256, 700] },
  ])("D $headDim, G $kvHeads x $group, $tokens tokens", async (one) => {
    const { found, wanted } = await sums(one);
    expectNear(found, wanted);
    expect(Math.min(...found[0]!)).toBeGreaterThanOrEqual(1);
  });

  test.each(KV_STORAGES)("of pages in %s", async (storage) => {
    const { found, wanted } = await sums({
      ...{ headDim: 32, kvHeads: 2, group: 2, tokens: 150, storage },
      held: [50],
    });
    expectNear(found, wanted);
  });
});
