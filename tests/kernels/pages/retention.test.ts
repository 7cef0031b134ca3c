import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createRetention } from "../../../src/kernels/pages/retention.ts";
import { seededRandom } from "../../../src/random.ts";
import { retention } from "../../reference/twins/pages/retention.ts";
import { readU32, testGpu, upload } from "../gpu.ts";
import { type CacheFixture, cacheFixture, destroyFixture } from "./paged-fixture.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const TOKENS = 700;

/** A random subset of [0, TOKENS + 50) in random order: some positions lie beyond the counts. */
function positionsKept(count: number, seed: number): number[] {
  const random = seededRandom(seed);
  return Array.from({ length: TOKENS + 50 }, (_, position) => ({ position, key: random() }))
    .sort((a, b) => a.key - b.key)
    .slice(0, count)
    .map(({ position }) => position);
}

for (const [D, G, counts] of [
  [64, 3, [0, 1, 95, 96, 97, 512]],
  [128, 1, [512, 700]],
] as const)
  test(`D ${D}, G ${G}, one layer after another with counts ${counts}`, async () => {
    const kernel = await createRetention(gpu, { headDim: D, pageSlots: 32 });
    const output = upload(gpu, new Uint32Array(TOKENS));
    const heads: number[][] = [];
    const fixtures: CacheFixture[] = [];
    for (const [index, count] of counts.entries()) {
      const layer = Array.from({ length: G }, (_, g) => positionsKept(count, index * G + g));
      heads.push(...layer);
      fixtures.push(
        cacheFixture(gpu, {
          headDim: D,
          pageSlots: 32,
          layers: 2,
          layer: index % 2,
          lanes: 3,
          lane: index % 3,
          window: 0,
          sinks: 0,
          last: 0,
          heads: layer.map((positions) => ({
            slots: positions.map((position) => ({ position, score: 0 })),
            rows: [],
            capacity: count + 40,
          })),
        }),
      );
    }
    gpu.run(fixtures.map((f) => kernel.dispatch({ ...f, lane: f.eviction, counts: output }, G)));
    const found = [...(await readU32(gpu, output))];
    expect(found).toEqual(retention(heads, TOKENS));
    expect(found.reduce((a, b) => a + b)).toBe(
      heads.flat().filter((position) => position < TOKENS).length,
    );
    for (const fixture of fixtures) destroyFixture(gpu, fixture);
  });
