import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { type CacheShape, layerShapeWords } from "../../../src/kernels/pages/cache-shape.ts";
import { KV_STORAGES } from "../../../src/kernels/pages/page-format.ts";
import { createRememberBlock } from "../../../src/kernels/pages/remember-block.ts";
import { REMAINDER_MOST } from "../../reference/twins/attention/attention-decode.ts";
import { laneWords, PLAIN_LANE } from "../../reference/twins/pages/paged-cache.ts";
import { readU32, testGpu, upload } from "../gpu.ts";
import { candidatesOf, makeScene, type Scene } from "../scoring/score-scene.ts";

const LAYER = 1;
const LANE = 1;

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

/** Remainders [G][2 + 2 D] of the lane, once what comes before or after a block has run. */
async function run(scene: Scene, part: "before" | "after"): Promise<Float32Array[]> {
  const { shape, cache, chunk, chunkPages, rows, lanes } = scene;
  const kernel = await createRememberBlock(gpu, shape);
  const tables = upload(gpu, cache.tables);
  const buffers = {
    shape: gpu.ledger.uniform("shape", layerShapeWords(shape, LAYER, cache.maxPages, chunkPages)),
    eviction: gpu.ledger.uniform("eviction", Uint32Array.of(LANE, rows, 9999, 0, 0, 0, 0, 0)),
    tables,
    lanes: upload(gpu, laneWords(lanes)),
    pages: upload(gpu, cache.pages),
    chunk: upload(gpu, chunk.pages),
  };
  gpu.run([kernel[part](buffers)]);
  const after = cache.clone();
  after.tables.set(await readU32(gpu, tables));
  // Counts, capacities and pages are as they were.
  for (let lane = 0; lane < lanes.length; lane += 1)
    for (let g = 0; g < shape.kvHeads; g += 1) {
      const row = cache.row(lane, g);
      const words = (of: Uint32Array) => of.subarray(row, row + 2 + cache.maxPages);
      expect(words(after.tables)).toEqual(words(cache.tables));
      if (lane !== LANE) expect(after.remainder(lane, g)).toEqual(cache.remainder(lane, g));
    }
  return Array.from({ length: shape.kvHeads }, (_, g) => after.remainder(LANE, g));
}

const sceneOf = (
  shape: CacheShape,
  count: number,
  rows: number,
  { remembers = 1, dropped = 1 } = {},
): Scene => {
  const lane = { ...PLAIN_LANE, remembers };
  const scene = makeScene({
    shape,
    lanes: [lane, lane],
    fill: (_, g) => ({ count: count + g }),
    rows,
  });
  for (let g = 0; g < shape.kvHeads; g += 1) scene.cache.remainder(LANE, g).fill(g + dropped);
  return scene;
};

for (const storage of KV_STORAGES)
  test.each([
    [64, 40, 100, 1],
    [64, 40, 100, 500],
    [64, 40, 100, 2000],
    [64, 0, 1, 511],
    [16, 70, 0, 1],
    [80, 33, 5, 512],
    [256, 3, 40, 1],
  ])(`${storage}, D %i: %i in the cache, a block of %i rows, %i dropped`, async (...numbers) => {
    const [headDim, count, rows, first] = numbers;
    const shape = { layers: 2, heads: 4, kvHeads: 2, headDim, storage };
    const scene = sceneOf(shape, count, rows, { dropped: first });
    for (const part of ["before", "after"] as const) {
      const found = await run(scene, part);
      for (const [g, remainder] of found.entries()) {
        const cached = scene.cache.count(LANE, g);
        const all = candidatesOf(scene, LANE, g);
        const n = g + first;
        const before = part === "before";
        const pairs = before ? all : all.slice(0, cached);
        // Before the block it is the capacity that says how many will go, after it what the cache holds.
        const kept = before ? Math.min(all.length, scene.cache.capacity(LANE, g)) : cached;
        const dropped = (before ? all.length : n) - kept;
        const keep = Math.min(1, Math.max(0, REMAINDER_MOST - dropped) / n);
        const sums = new Float64Array(2 + 2 * headDim).fill(before ? keep * n : n);
        sums[0] = before ? n : keep * n + dropped;
        sums[1 + 2 * headDim] = before ? all.length : n;
        for (const { key, value } of pairs)
          [...key, ...value].forEach((x, i) => {
            sums[1 + i]! += before ? x : -x;
          });
        remainder.forEach((x, i) => {
          expect(Math.abs(x - sums[i]!)).toBeLessThan(
            1e-4 * Math.max(10, pairs.length, first / 10),
          );
        });
      }
    }
  });

test("a lane that does not remember is left alone", async () => {
  const scene = sceneOf({ layers: 2, heads: 4, kvHeads: 2, headDim: 64 }, 20, 20, { remembers: 0 });
  const found = await run(scene, "before");
  found.forEach((remainder, g) => {
    expect(remainder).toEqual(scene.cache.remainder(LANE, g));
  });
});
