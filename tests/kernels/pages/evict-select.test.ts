import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createEvictSelect } from "../../../src/kernels/pages/evict-select.ts";
import { movesBytes, type Select } from "../../../src/kernels/pages/eviction.ts";
import { createSelectAll } from "../../../src/kernels/pages/select-all.ts";
import { seededRandom } from "../../../src/random.ts";
import topk from "../../reference/fixtures/topk.json" with { type: "json" };
import { evictSelect, type Pair } from "../../reference/twins/pages/evict-select.ts";
import { readU32, testGpu } from "../gpu.ts";
import { type CacheCase, cacheFixture, destroyFixture } from "./paged-fixture.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

type Selected = { moves: [number, number][]; count: number }[];

/** What the shader selects, for a GPU and for a software adapter alike. */
async function run(cache: CacheCase, seed = 1): Promise<Selected> {
  const selected = await runWith(await createEvictSelect(gpu, cache, "gpu"), cache, seed);
  expect(await runWith(await createEvictSelect(gpu, cache, "cpu"), cache, seed)).toEqual(selected);
  return selected;
}

/** Runs the shader; per kv head its moves and new count. Fails if it wrote where it should not. */
async function runWith(select: Select, cache: CacheCase, seed = 1): Promise<Selected> {
  const fixture = cacheFixture(gpu, cache, seed);
  const G = cache.heads.length;
  const maxMoves = Math.max(
    ...cache.heads.map((h) => h.rows.length + Math.max(0, h.slots.length - h.capacity)),
  );
  const buffer = gpu.ledger.storage("activations", "moves", movesBytes(G, maxMoves));
  gpu.run([select.dispatch({ ...fixture, moves: buffer }, G)]);
  const moves = await readU32(gpu, buffer);
  const tables = await readU32(gpu, fixture.tables);
  const result = cache.heads.map((_, g) => {
    const share = g * (1 + 2 * maxMoves);
    const pairs: [number, number][] = [];
    for (let m = 0; m < moves[share]!; m++)
      pairs.push([moves[share + 1 + 2 * m]!, moves[share + 2 + 2 * m]!]);
    const count = tables[fixture.tableRow(g)]!;
    tables[fixture.tableRow(g)] = fixture.host.tables[fixture.tableRow(g)]!;
    return { moves: pairs, count };
  });
  expect(tables, "only counts change").toEqual(fixture.host.tables);
  destroyFixture(gpu, fixture);
  gpu.ledger.destroy(buffer);
  return result;
}

/** `count` slots at shuffled positions [0, count), then `rows` rows at the positions after them. */
function pairs(
  count: number,
  rows: number,
  seed: number,
  score: (random: () => number) => number,
): { slots: Pair[]; rows: Pair[]; last: number } {
  const random = seededRandom(seed);
  const positions = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [positions[i], positions[j]] = [positions[j]!, positions[i]!];
  }
  const pair = (position: number): Pair => ({ position, score: Math.fround(score(random)) });
  return {
    slots: positions.map(pair),
    rows: Array.from({ length: rows }, (_, r) => pair(count + r)),
    last: Math.max(0, count + rows - 1),
  };
}

const small = { headDim: 64, pageSlots: 32, layers: 2, layer: 1, lanes: 3, lane: 2 };

async function compare(cache: CacheCase, seed = 1): Promise<void> {
  const got = await run(cache, seed);
  cache.heads.forEach((head, g) => {
    const { moves, count } = evictSelect({ ...cache, ...head });
    expect(got[g], `kv head ${g}`).toEqual({ moves, count });
  });
}

const continuous = (random: () => number) => (random() - 0.5) * 10;
const coarse = (random: () => number) => Math.floor(random() * 3) - 1;

describe("evict_select against its twin", () => {
  const counts = [0, 1, 95, 96, 97, 512];
  for (const rows of [0, 1, 31, 32, 33, 256])
    test(`chunk of ${rows}, capacity 96, counts ${counts}`, async () => {
      for (const count of counts)
        for (const score of [continuous, coarse, () => 0.25]) {
          const heads = [1, 2, 3].map((seed) => pairs(count, rows, seed, score));
          await compare({
            ...small,
            window: 16,
            sinks: 4,
            last: heads[0]!.last,
            heads: heads.map((h) => ({ ...h, capacity: 96 })),
          });
        }
    });

  test("capacities differ by head; D = 128; one kv head; odd page size", async () => {
    const heads = [40, 96, 200].map((capacity, i) => ({ ...pairs(180, 33, i, coarse), capacity }));
    const common = { window: 8, sinks: 2, last: 212, lanes: 1, lane: 0, layers: 1, layer: 0 };
    await compare({ headDim: 128, pageSlots: 16, heads, ...common });
    await compare({ headDim: 128, pageSlots: 64, heads: heads.slice(1, 2), ...common });
  });

  test("capacity lowered from 512 to 96, with and without a chunk", async () => {
    for (const rows of [0, 70]) {
      const head = pairs(512, rows, 5, continuous);
      await compare({
        ...small,
        window: 64,
        sinks: 4,
        last: head.last,
        heads: [{ ...head, capacity: 96 }],
      });
    }
  });

  test("the protected fill the capacity exactly, or are more than it holds", async () => {
    for (const window of [92, 96, 4000, 0xffffffff]) {
      const head = pairs(300, 40, 7, continuous);
      await compare({
        ...small,
        window,
        sinks: 4,
        last: head.last,
        heads: [{ ...head, capacity: 96 }],
      });
    }
  });

  test("of a system prompt as much stays as fits into a quarter of what the window leaves", async () => {
    for (const system of [3, 40, 4000])
      for (const window of [8, 60, 4000]) {
        const heads = [1, 2, 3].map((seed) => pairs(200, 40, seed, continuous));
        await compare({
          ...small,
          window,
          sinks: 4,
          system,
          last: heads[0]!.last,
          heads: heads.map((head, i) => ({ ...head, capacity: [33, 96, 150][i]! })),
        });
      }
  });

  test("nothing protected; a window longer than the text; capacity 0", async () => {
    const head = pairs(100, 20, 8, continuous);
    for (const [window, sinks, capacity] of [
      [0, 0, 50],
      [500, 0, 120],
      [4, 4, 0],
    ] as const)
      await compare({ ...small, window, sinks, last: head.last, heads: [{ ...head, capacity }] });
  });

  test("infinities, both zeros, subnormals and NaN are ordered", async () => {
    const values = [Infinity, -Infinity, 0, -0, 1e-45, -1e-45, 3.4e38, -3.4e38, 1, -1, Number.NaN];
    for (let capacity = 1; capacity < 33; capacity++) {
      const heads = [1, 2, 3].map((seed) => ({
        ...pairs(22, 11, seed, (random) => values[Math.floor(random() * values.length)]!),
        capacity,
      }));
      await compare({ ...small, window: 1, sinks: 0, last: 32, heads });
    }
  });

  test("131,072 slots", async () => {
    const head = pairs(131072, 256, 9, (random) => Math.floor(random() * 1000));
    await compare({
      ...small,
      headDim: 4,
      layers: 1,
      layer: 0,
      window: 64,
      sinks: 4,
      last: head.last,
      heads: [{ ...head, capacity: 131000 }],
    });
  });
});

describe("select_all", () => {
  for (const rows of [0, 1, 63, 64, 65, 128])
    test(`takes ${rows} rows as evict_select does where there is room`, async () => {
      const heads = [0, 1, 200].map((count, i) => {
        const head = pairs(count, rows, i, continuous);
        return { ...head, capacity: count + rows + 32 * i };
      });
      const cache = { ...small, window: 16, sinks: 4, last: 200 + rows, heads };
      const got = await runWith(await createSelectAll(gpu, cache), cache);
      heads.forEach((head, g) => {
        const { moves, count } = evictSelect({ ...cache, ...head });
        expect(got[g], `kv head ${g}`).toEqual({ moves, count });
      });
    });
});

describe("evict_select against torch.topk", () => {
  for (const { name, scores, capacity, window, kept } of topk)
    test(name, async () => {
      const slots = scores.map((score, position) => ({ score: Math.fround(score), position }));
      const rows = slots.splice(slots.length - 33, 33);
      const last = scores.length - 1;
      const [got] = await run({
        ...small,
        window,
        sinks: 0,
        last,
        heads: [{ slots, rows, capacity }],
      });
      const settled = Math.min(slots.length, capacity);
      const replaced = new Map(got!.moves.map(([source, to]) => [to, source]));
      const found = Array.from({ length: got!.count }, (_, slot) => {
        const source = replaced.get(slot) ?? slot;
        if (source >= 0x80000000) return slots.length + source - 0x80000000;
        expect(source === slot ? slot < settled : source >= capacity).toBe(true);
        return source;
      });
      expect(found.sort((a, b) => a - b)).toEqual(kept);
    });
});
