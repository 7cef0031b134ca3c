import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createEvictSelect } from "../../../src/kernels/pages/evict-select.ts";
import { movesBytes } from "../../../src/kernels/pages/eviction.ts";
import { createKvMove } from "../../../src/kernels/pages/kv-move.ts";
import { KV_STORAGES, type KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { seededRandom } from "../../../src/random.ts";
import { evictSelect } from "../../reference/twins/pages/evict-select.ts";
import { kvMove } from "../../reference/twins/pages/kv-move.ts";
import { positionWord } from "../../reference/twins/pages/paged-slab.ts";
import { readU32, testGpu } from "../gpu.ts";
import { type CacheCase, cacheFixture, destroyFixture } from "./paged-fixture.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

function cacheCase(
  D: number,
  G: number,
  count: number,
  rows: number,
  capacity: number,
  P: number,
): CacheCase {
  const random = seededRandom(count + rows);
  const head = () => ({
    slots: Array.from({ length: count }, (_, position) => ({
      position,
      score: Math.fround(random()),
    })),
    rows: Array.from({ length: rows }, (_, r) => ({
      position: count + r,
      score: Math.fround(random()),
    })),
    capacity,
  });
  return {
    headDim: D,
    pageSlots: P,
    layers: 3,
    layer: 1,
    lanes: 2,
    lane: 1,
    window: 8,
    sinks: 4,
    last: Math.max(0, count + rows - 1),
    heads: Array.from({ length: G }, head),
  };
}

const shapes: Parameters<typeof cacheCase>[] = [
  [64, 3, 0, 0, 96, 32],
  [64, 3, 0, 33, 96, 32],
  [64, 3, 95, 1, 96, 32],
  [64, 1, 96, 256, 96, 32],
  [128, 3, 512, 0, 96, 32],
  [128, 1, 512, 31, 96, 64],
  [256, 2, 300, 32, 128, 16],
  [8, 1, 40, 9, 41, 8],
  [24, 1, 40, 9, 41, 8],
];
/** The move itself is the same for all storages: a few shapes show it. */
const shapesOf = (storage: KvStorage) =>
  shapes.filter(([D, G]) => storage === "f16" || D === 24 || (D === 64 && G === 3));

for (const storage of KV_STORAGES)
  test.each(shapesOf(storage))(
    `${storage}, D, G, count, rows, capacity, P = %i, %i, %i, %i, %i, %i`,
    async (...shape) => {
      const cache = { ...cacheCase(...shape), storage };
      const G = cache.heads.length;
      const fixture = cacheFixture(gpu, cache);
      const select = await createEvictSelect(gpu, cache);
      const move = await createKvMove(gpu, cache);
      const moves = gpu.ledger.storage("activations", "moves", movesBytes(G, 600));
      gpu.run([select.dispatch({ ...fixture, moves }, G), move.dispatch({ ...fixture, moves }, G)]);

      const expected = fixture.host.pages.slice();
      const { chunk, chunkPages } = fixture.host;
      const found = await readU32(gpu, fixture.pages);
      cache.heads.forEach((head, g) => {
        const selection = evictSelect({ ...cache, ...head });
        const table = fixture.pageTable(g);
        kvMove(cache, selection.moves, table, expected, chunk, g * chunkPages);
        // Independent of the twin of the move: slots [0, count) now hold exactly the survivors.
        const all = [...head.slots, ...head.rows];
        const survivors = selection.kept.map((i) => all[i]!.position).sort((a, b) => a - b);
        const held = Array.from(
          { length: selection.count },
          (_, s) => found[positionWord(cache, table[Math.floor(s / cache.pageSlots)]!, s)]!,
        );
        expect(held.sort((a, b) => a - b)).toEqual(survivors);
      });
      expect(found).toEqual(expected);
      destroyFixture(gpu, fixture);
      gpu.ledger.destroy(moves);
    },
  );
