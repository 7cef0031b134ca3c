import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createKvRing } from "../../../src/kernels/pages/kv-ring.ts";
import { KV_STORAGES, type KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { kvRing } from "../../reference/twins/pages/kv-ring.ts";
import { positionWord } from "../../reference/twins/pages/paged-slab.ts";
import { readU32, testGpu } from "../gpu.ts";
import { cacheFixture, destroyFixture } from "./paged-fixture.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const P = 32;

/**
 * Word for word. Codes of q8 come from a division, which WGSL rounds within 2.5 ULP: a code that lies between two
 * may be the other one, rarely.
 */
function expectPages(found: Uint32Array, expected: Uint32Array, storage: KvStorage): void {
  if (storage !== "q8") {
    expect(found).toEqual(expected);
    return;
  }
  const codes = (words: Uint32Array): Int8Array => new Int8Array(words.slice().buffer);
  const [ours, twins] = [codes(found), codes(expected)];
  const apart = [...ours.keys()].filter((i) => ours[i] !== twins[i]);
  expect(apart.length).toBeLessThanOrEqual(ours.length / 10_000);
  for (const i of apart) expect(Math.abs(ours[i]! - twins[i]!), `byte ${i}`).toBe(1);
}
/** [D, G, capacity, tokens before the chunk, rows of the chunk] */
const shapes: readonly [number, number, number, number, number][] = [
  [64, 3, 96, 0, 1],
  [64, 3, 96, 0, 96],
  [64, 1, 96, 40, 57],
  [256, 1, 512, 500, 128],
  [256, 1, 40, 1000, 128], // longer than the ring: its last rows alone
  [128, 2, 33, 31, 3],
  [128, 2, 33, 99, 33],
  [16, 4, 1, 7, 5],
];
for (const storage of KV_STORAGES)
  test.each(shapes)(
    `${storage}, D %i, G %i, window %i: after %i tokens %i rows`,
    async (D, G, capacity, start, rows) => {
      const slots = Math.min(start, capacity);
      // Slot s holds the latest position below `start` that is s modulo the window.
      const latest = (s: number) =>
        start - 1 - ((((start - 1 - s) % capacity) + capacity) % capacity);
      const head = {
        slots: Array.from({ length: slots }, (_, s) => ({ position: latest(s), score: 0 })),
        rows: Array.from({ length: rows }, (_, r) => ({ position: start + r, score: r })),
        capacity,
      };
      const cache = {
        headDim: D,
        storage,
        pageSlots: P,
        layers: 3,
        layer: 1,
        lanes: 2,
        lane: 1,
        window: 0,
        sinks: 0,
        last: start + rows - 1,
        heads: Array.from({ length: G }, () => head),
      };
      const fixture = cacheFixture(gpu, cache);
      const shape = { layers: 3, heads: G, kvHeads: G, headDim: D, storage };
      const kernel = await createKvRing(gpu, shape);
      gpu.run([kernel.dispatch(fixture, G)]);

      const expected = fixture.host.pages.slice();
      const found = await readU32(gpu, fixture.pages);
      const tables = await readU32(gpu, fixture.tables);
      for (let g = 0; g < G; g += 1) {
        const table = fixture.pageTable(g);
        const { chunk, chunkPages } = fixture.host;
        const run = { start, rows, capacity };
        const count = kvRing(cache, run, table, expected, chunk, g * chunkPages);
        expect(tables[fixture.tableRow(g)]).toBe(count);
        // Independent of the twin: the ring holds the last positions, each once.
        const held = Array.from(
          { length: count },
          (_, s) => found[positionWord(cache, table[Math.floor(s / P)]!, s)]!,
        ).sort((a, b) => a - b);
        expect(held).toEqual(Array.from({ length: count }, (_, i) => start + rows - count + i));
      }
      expectPages(found, expected, storage);
      destroyFixture(gpu, fixture);
    },
  );
