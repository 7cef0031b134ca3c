import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import {
  type CacheShape,
  layerShapeWords,
  pageWords,
} from "../../../src/kernels/pages/cache-shape.ts";
import { createKvWrite, type KvWriteMode } from "../../../src/kernels/pages/kv-write.ts";
import type { KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { inverseFrequencies, ropeTable } from "../../../src/kernels/rope-table.ts";
import { seededRandom } from "../../../src/random.ts";
import { rotate } from "../../reference/twins/attention/rope.ts";
import {
  append,
  chunkSlot,
  findVictim,
  type KvWriteInput,
  keyScore,
  positionHash,
  rowPair,
} from "../../reference/twins/pages/kv-write.ts";
import {
  type Lane,
  laneWords,
  normals,
  PagedCache,
  type Pair,
  PLAIN_LANE,
  randomPairs,
  rowWords,
} from "../../reference/twins/pages/paged-cache.ts";
import fixture from "../fixtures/pages-q8.json" with { type: "json" };
import { readF32, readU32, testGpu, upload } from "../gpu.ts";

const CONTEXT = 131072;
/** Invocations per workgroup: a GPU's, with and without a search for a victim, and a CPU adapter's. */
let size = 64;
let storage: KvStorage = "f16";
let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const shapeOf = (headDim: number, group = 3, kvHeads = 3, layers = 2): CacheShape => ({
  storage,
  layers,
  heads: group * kvHeads,
  kvHeads,
  headDim,
});

const width = ({ heads, kvHeads, headDim }: CacheShape) => (heads + 2 * kvHeads) * headDim;

function input(shape: CacheShape, lanes: Lane[], rows: KvWriteInput["rows"], keyScale = 1) {
  const random = seededRandom(7);
  return {
    inverseFrequencies: inverseFrequencies(shape.headDim, 10000),
    filters: normals(random, shape.layers * shape.kvHeads * shape.headDim),
    lanes,
    rows,
    qkv: normals(random, rows.length * width(shape), keyScale),
  };
}

/** Runs the kernel on copies of the cache; returns the cache after, and qkv with its queries turned. */
async function run(
  before: PagedCache,
  { qkv, ...given }: KvWriteInput & { qkv: Float32Array },
  mode: KvWriteMode = "append",
  chunkPages = 0,
  shape = before.shape,
) {
  const { layer, maxPages } = before;
  const kernel = await createKvWrite(gpu, shape, { mode, workgroup: size });
  const buffers = {
    qkv: upload(gpu, qkv),
    pages: upload(gpu, before.pages),
    tables: upload(gpu, before.tables),
  };
  const words = layerShapeWords(shape, layer, maxPages, chunkPages);
  const dispatch = kernel.dispatch(
    {
      ...buffers,
      shape: gpu.ledger.uniform("shape", words),
      rows: upload(gpu, rowWords(given.rows)),
      lanes: upload(gpu, laneWords(given.lanes)),
      filters: upload(gpu, given.filters),
      rope_table: upload(gpu, ropeTable(Float64Array.from(given.inverseFrequencies), CONTEXT)),
    },
    [shape.heads + shape.kvHeads, given.rows.length],
  );
  gpu.run([dispatch]);
  const after = before.clone();
  after.pages.set(await readU32(gpu, buffers.pages));
  after.tables.set(await readU32(gpu, buffers.tables));
  return { after, qkv: await readF32(gpu, buffers.qkv) };
}

/** Largest |a - b|; infinite where one is NaN. */
const difference = (a: Float32Array, b: Float32Array): number =>
  a.reduce((most, x, d) => {
    const error = Math.abs(x - b[d]!);
    return Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(most, error);
  }, 0);
const largest = (x: Float32Array): number => x.reduce((most, v) => Math.max(most, Math.abs(v)), 0);

/**
 * Position exact; values too, but for q8, where a rounding can fall either way as it can for keys: those
 * are turned by angles in f32 here, in f64 there.
 */
function expectPair(found: Pair, expected: Pair, scoreError = 1e-4, stored: KvStorage = "f16") {
  expect(found.position).toBe(expected.position);
  if (stored !== "q8") expect(found.value).toEqual(expected.value);
  else expect(difference(found.value, expected.value)).toBeLessThan(largest(found.value) / 126);
  if (stored === "f16") {
    const errors = expected.key.map((x, d) => (found.key[d]! - x) / Math.max(1e-3, Math.abs(x)));
    expect(difference(errors, new Float32Array(errors.length))).toBeLessThan(2e-3);
  } else {
    const step = stored === "q8" ? 1 / 126 : 2e-6;
    expect(difference(found.key, expected.key)).toBeLessThan(largest(expected.key) * step);
  }
  expect(Math.abs(found.score - expected.score)).toBeLessThanOrEqual(
    scoreError * Math.max(1, Math.abs(expected.score)),
  );
}

/** Runs `append` on GPU and twin; returns for each row and kv head the slot written. */
async function expectTwin(before: PagedCache, given: ReturnType<typeof input>, scoreError = 1e-4) {
  const { shape } = before;
  const { after, qkv } = await run(before, given);
  const expected = before.clone();
  const slots = given.rows.map((row, r) => {
    const own = given.qkv.subarray(r * width(shape), (r + 1) * width(shape));
    return Array.from({ length: shape.kvHeads }, (_, g) => {
      const pair = rowPair(before, given, row, own, g);
      const slot = append(expected, row.lane, g, given.lanes[row.lane]!, pair);
      if (slot >= 0) {
        const written = [after.get(row.lane, g, slot), expected.get(row.lane, g, slot)] as const;
        expectPair(...written, scoreError, shape.storage);
        // Rounding is settled: from here on every word of the slab must be equal.
        expected.copy(row.lane, g, slot, after);
      }
      return slot;
    });
  });
  expect(after.tables).toEqual(expected.tables);
  expect(after.pages).toEqual(expected.pages);
  expectQueries(shape, given, qkv);
  return { slots, after };
}

/** Queries are turned, keys and values of qkv left as they were. */
function expectQueries(shape: CacheShape, given: ReturnType<typeof input>, found: Float32Array) {
  const { heads, headDim } = shape;
  const expected = Float64Array.from(given.qkv);
  given.rows.forEach(({ position }, r) => {
    for (let h = 0; h < heads; h += 1) {
      const at = r * width(shape) + h * headDim;
      const head = given.qkv.subarray(at, at + headDim);
      expected.set(rotate(head, position, given.inverseFrequencies), at);
    }
  });
  const scale = given.qkv.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const worst = expected.reduce((a, x, i) => Math.max(a, Math.abs(x - found[i]!)), 0);
  expect(worst / scale).toBeLessThan(1e-6);
}

/** Every head of every lane holds `count` pairs of `capacity`. */
function filled(
  shape: CacheShape,
  lanes: number,
  count: number,
  capacity: number,
  pairs: (lane: number, g: number) => Pair[],
) {
  const maxPages = Math.ceil(capacity / 32) + 1;
  const cache = new PagedCache(shape, {
    layer: 1,
    lanes,
    maxPages,
    pageCount: lanes * shape.kvHeads * maxPages,
    seed: 11,
  });
  for (let lane = 0; lane < lanes; lane += 1) {
    for (let g = 0; g < shape.kvHeads; g += 1) {
      cache.fill(lane, g, capacity, pairs(lane, g).slice(0, count));
    }
  }
  return cache;
}

describe.each([256, 64, 4])("kv_write append, workgroups of %i", (workgroup) => {
  beforeAll(() => {
    size = workgroup;
  });

  test.each([
    [16, 1],
    [64, 3],
    [128, 4],
    [256, 8],
  ])("D %i, %i heads a kv head: empty cache, then below capacity", async (headDim, group) => {
    const shape = shapeOf(headDim, group, 2);
    let cache = filled(shape, 1, 0, 70, () => []);
    for (let position = 0; position < 2; position += 1) {
      const given = input(shape, [PLAIN_LANE], [{ position, lane: 0 }]);
      const { slots, after } = await expectTwin(cache, given);
      expect(slots).toEqual([[position, position]]);
      cache = after;
    }
  });

  test.each([31, 32, 33, 63, 64, 65, 500])("next free slot after %i", async (count) => {
    const shape = shapeOf(16);
    const random = seededRandom(count);
    const cache = filled(shape, 1, count, count + 1, () => randomPairs(random, 16, count));
    const given = input(shape, [PLAIN_LANE], [{ position: 90000 + count, lane: 0 }]);
    expect((await expectTwin(cache, given)).slots).toEqual([[count, count, count]]);
  });

  test.each([1, 31, 32, 33, 64, 65, 500, 1030])("victim among %i", async (count) => {
    const shape = shapeOf(64);
    const random = seededRandom(count);
    const cache = filled(shape, 1, count, count, () => randomPairs(random, 64, count));
    // From 512 dropped pairs on, what is older fades.
    for (let g = 0; g < 3; g += 1) cache.remainder(0, g).fill(count);
    const lane = {
      ...PLAIN_LANE,
      window: Math.ceil(count / 4),
      sinks: Math.min(4, count >> 2),
      remembers: count % 2,
    };
    const { slots } = await expectTwin(cache, input(shape, [lane], [{ position: count, lane: 0 }]));
    for (const slot of slots[0]!) expect(slot).toBeGreaterThanOrEqual(0);
  });

  test("four lanes at once, each with its count, capacity and rule", async () => {
    const shape = shapeOf(64);
    const random = seededRandom(4);
    const cache = filled(shape, 4, 0, 70, () => []);
    const counts = [0, 33, 70, 70];
    counts.forEach((count, lane) => {
      for (let g = 0; g < 3; g += 1) {
        randomPairs(random, 64, count).forEach((pair, slot) => {
          cache.set(lane, g, slot, pair);
        });
        // Heads of one lane may differ in capacity.
        cache.tables.set([Math.max(0, count - g), 70 - g], cache.row(lane, g));
      }
    });
    const lanes = [
      PLAIN_LANE,
      { ...PLAIN_LANE, dot: 0, norm: -1 },
      { ...PLAIN_LANE, window: 32, sinks: 4 },
      { ...PLAIN_LANE, random: 1, dot: 0, seed: 3 },
    ];
    const rows = [2, 0, 3, 1].map((lane) => ({ position: 100 + lane, lane }));
    const { slots } = await expectTwin(cache, input(shape, lanes, rows));
    expect(slots[1]).toEqual([0, 0, 0]);
    expect(slots[3]).toEqual([33, 32, 31]);
  });

  test("equal scores: the lowest position goes, wherever it lies", async () => {
    const shape = shapeOf(16);
    const random = seededRandom(1);
    const count = 130;
    const pairs = (_lane: number, g: number) =>
      randomPairs(random, 16, count)
        .map((pair, i) => ({ ...pair, score: i % 3 === 0 ? -0.5 : 0.5 }))
        .map((pair, i) => ({ ...pair, position: (i * 37 + g * 11) % count }));
    const cache = filled(shape, 1, count, count, pairs);
    const lane = { ...PLAIN_LANE, sinks: 4, window: 64 };
    const { slots } = await expectTwin(cache, input(shape, [lane], [{ position: count, lane: 0 }]));
    slots[0]!.forEach((slot, g) => {
      const all = cache.pairs(0, g);
      const lowest = Math.min(
        ...all.filter((p) => p.score === -0.5 && p.position >= 4).map((p) => p.position),
      );
      expect(all[slot]!.position).toBe(lowest);
    });
  });

  test("-0 equals 0, and scores of either sign are ordered", async () => {
    const shape = shapeOf(16);
    const scores = [3, 0, -0, 1e-30, 7, 2];
    const cache = filled(shape, 1, 6, 6, () =>
      randomPairs(seededRandom(2), 16, 6).map((pair, i) => ({ ...pair, score: scores[i]! })),
    );
    const { slots } = await expectTwin(
      cache,
      input(shape, [PLAIN_LANE], [{ position: 6, lane: 0 }]),
    );
    expect(slots).toEqual([[1, 1, 1]]);
  });

  test("a window that protects all but one", async () => {
    const shape = shapeOf(16);
    const count = 40;
    const random = seededRandom(3);
    const cache = filled(shape, 1, count, count, () => randomPairs(random, 16, count));
    const at = (lane: Partial<Lane>) =>
      expectTwin(cache, input(shape, [{ ...PLAIN_LANE, ...lane }], [{ position: count, lane: 0 }]));
    // The window counts the new token: 40 leaves position 0 alone unprotected.
    expect((await at({ window: 40 })).slots).toEqual([[0, 0, 0]]);
    expect((await at({ window: 36, sinks: 4 })).slots).toEqual([[4, 4, 4]]);
  });

  test("a system prompt stays as far as a quarter of what the window leaves", async () => {
    const shape = shapeOf(16);
    const count = 40;
    // The lowest score is the oldest token's.
    const cache = filled(shape, 1, count, count, () =>
      randomPairs(seededRandom(3), 16, count).map((pair, i) => ({
        ...pair,
        score: i,
        position: i,
      })),
    );
    const at = async (lane: Partial<Lane>) => {
      const given = input(shape, [{ ...PLAIN_LANE, ...lane }], [{ position: count, lane: 0 }]);
      return (await expectTwin(cache, given)).slots[0]![0];
    };
    expect(await at({ system: 3 })).toBe(3);
    expect(await at({ system: 30 })).toBe(9);
    expect(await at({ system: 30, window: 20 })).toBe(5);
    expect(await at({ system: 30, window: 39 })).toBe(0);
    expect(await at({ system: 2, sinks: 4 })).toBe(4);
    expect(await at({ system: 30, sinks: 4, window: 36 })).toBe(4);
  });

  test("nothing may go: nothing is written", async () => {
    const shape = shapeOf(16);
    const cache = filled(shape, 1, 8, 8, () => randomPairs(seededRandom(3), 16, 8));
    for (const lane of [
      { ...PLAIN_LANE, window: 5, sinks: 4 },
      { ...PLAIN_LANE, window: 0xffffffff },
    ]) {
      const given = input(shape, [lane], [{ position: 8, lane: 0 }]);
      expect((await expectTwin(cache, given)).slots).toEqual([[-1, -1, -1]]);
    }
    const none = filled(shape, 1, 0, 0, () => []);
    const given = input(shape, [PLAIN_LANE], [{ position: 8, lane: 0 }]);
    expect((await expectTwin(none, given)).slots).toEqual([[-1, -1, -1]]);
  });

  test("huge keys and values are clamped to f16, their score is not", async () => {
    const shape = shapeOf(64);
    const cache = filled(shape, 1, 0, 8, () => []);
    const given = input(shape, [{ ...PLAIN_LANE, norm: 1 }], [{ position: 5, lane: 0 }], 1e5);
    const { after } = await expectTwin(cache, given);
    const { key, value, score } = after.get(0, 0, 0);
    expect(Math.max(...key)).toBe(65504);
    expect(Math.min(...value)).toBe(-65504);
    expect(score).toBeGreaterThan(1e5);
  });

  test("positions up to 100,000", async () => {
    const shape = shapeOf(64);
    const rows = [255, 256, 99_999, 100_000].map((position, lane) => ({ position, lane }));
    const cache = filled(shape, 4, 0, 4, () => []);
    await expectTwin(
      cache,
      input(
        shape,
        rows.map(() => PLAIN_LANE),
        rows,
      ),
    );
  });
});

describe.each([64, 4])("scores, workgroups of %i", (workgroup) => {
  beforeAll(() => {
    size = workgroup;
  });

  const shape = shapeOf(64);
  const none = { ...PLAIN_LANE, dot: 0 };
  const scoresOf = async (lane: Lane, positions: number[], scoreError?: number) => {
    const rows = positions.map((position, at) => ({ position, lane: at }));
    const cache = filled(shape, positions.length, 0, 4, () => []);
    const given = input(
      shape,
      rows.map(() => lane),
      rows,
    );
    const { after } = await expectTwin(cache, given, scoreError);
    return rows.map((_, r) => [0, 1, 2].map((g) => after.get(r, g, 0).score));
  };

  test.each([
    ["dot", { ...none, dot: -1 }],
    ["norm", { ...none, norm: -1 }],
    ["all", { dot: 0.5, norm: -2, position: 0.001, random: 3, window: 1, sinks: 0, seed: 9 }],
  ])("%s", async (_name, lane) => {
    const scores = await scoresOf(lane, [0, 17, 4096]);
    expect(new Set(scores.flat()).size).toBe(9);
  });

  test("position is exact", async () => {
    expect(await scoresOf({ ...none, position: 1 }, [0, 17, 100_000], 0)).toEqual([
      [0, 0, 0],
      [17, 17, 17],
      [100_000, 100_000, 100_000],
    ]);
  });

  test("the random hash equals the twin bit for bit, and differs by head and seed", async () => {
    const positions = [0, 1, 2, 4095, 100_000];
    const all = [];
    for (const seed of [0, 1, 0xffffffff]) {
      const found = await scoresOf({ ...none, random: 1, seed }, positions, 0);
      // The filter's layer is 1 of G = 3.
      const expected = positions.map((p) => [3, 4, 5].map((head) => positionHash(p, head, seed)));
      expect(found).toEqual(expected);
      all.push(...found.flat());
    }
    expect(new Set(all).size).toBe(45);
  });

  test("the twin itself: signs, victim and hash by hand", () => {
    expect(keyScore({ ...none, dot: -1 }, [3, 4], [1, 2], 9, 0)).toBe(-11);
    expect(keyScore({ ...none, norm: -1 }, [3, 4], [1, 2], 9, 0)).toBe(-5);
    const pairs = [5, 1, 1, 0].map((score, i) => ({
      key: new Float32Array(),
      value: new Float32Array(),
      position: 10 - i,
      score,
    }));
    expect(findVictim(pairs, PLAIN_LANE, 11)).toBe(3);
    expect(findVictim(pairs, { ...PLAIN_LANE, sinks: 8 }, 11)).toBe(2);
    expect(findVictim(pairs, { ...PLAIN_LANE, sinks: 8, window: 3 }, 11)).toBe(2);
    expect(findVictim(pairs, { ...PLAIN_LANE, sinks: 8, window: 4 }, 11)).toBe(-1);
    const many = Array.from({ length: 4000 }, (_, p) => positionHash(p, 2, 5));
    expect(many.reduce((a, b) => a + b) / 4000).toBeCloseTo(0.5, 1);
  });
});

describe.each(
  [256, 4].flatMap((workgroup) => (["q8", "f32"] as const).map((stored) => [workgroup, stored])),
)("kv_write append, workgroups of %i, pages of %s", (workgroup, stored) => {
  beforeAll(() => {
    size = Number(workgroup);
    storage = stored as KvStorage;
  });
  afterAll(() => {
    storage = "f16";
  });

  test.each([24, 32, 64, 96, 128, 256])(
    "D %i: below capacity, then in place of a victim",
    async (headDim) => {
      const shape = shapeOf(headDim, 2, 2);
      const random = seededRandom(headDim);
      let cache = filled(shape, 1, 69, 70, () => randomPairs(random, headDim, 69));
      for (let position = 69; position < 71; position += 1) {
        const given = input(
          shape,
          [PLAIN_LANE],
          [{ position, lane: 0 }],
          position === 69 ? 1 : 1e5,
        );
        cache = (await expectTwin(cache, given)).after;
      }
      // Nothing is cut: q8 keys and values of 1e5 keep their size.
      const sizes = cache.pairs(0, 0).map(({ value }) => largest(value));
      expect(Math.max(...sizes)).toBeGreaterThan(1e5);
    },
  );

  test("vectors of any size, as NumPy stores them", async () => {
    const shape = shapeOf(64, 1, 1);
    let cache = filled(shape, 1, 0, 32, () => []);
    for (const [position, { x, scale, codes }] of fixture.entries()) {
      const given = input(shape, [PLAIN_LANE], [{ position, lane: 0 }]);
      given.qkv.set(x, 128);
      cache = (await run(cache, given)).after;
      const { value } = cache.get(0, 0, position);
      expect([...value]).toEqual(storage === "q8" ? codes.map((code) => scale * code) : x);
    }
  });
});

describe.each([64, 4])("kv_write chunk, workgroups of %i", (workgroup) => {
  beforeAll(() => {
    size = workgroup;
  });

  test("the scratch of q8 pages is f16, that of f32 pages f32", async () => {
    const rows = [0, 1].map((position) => ({ position, lane: 0 }));
    for (const [pages, scratch] of [
      ["q8", "f16"],
      ["f32", "f32"],
    ] as const) {
      const shape = { ...shapeOf(64), storage: pages };
      const chunk = new PagedCache({ ...shape, storage: scratch }, { layer: 1, pageCount: 3 });
      const given = input(shape, [PLAIN_LANE], rows);
      const { after } = await run(chunk, given, "chunk", 1, shape);
      const own = given.qkv.subarray(0, width(shape));
      const pair = rowPair(chunk, given, rows[0]!, own, 1);
      chunk.setIn(1, 0, pair);
      expectPair(after.getIn(1, 0), chunk.getIn(1, 0), 1e-4, scratch);
    }
  });

  test.each([1, 31, 33, 130])("%i rows into the scratch", async (count) => {
    const shape = shapeOf(64);
    const chunkPages = 5;
    const before = new PagedCache(shape, { layer: 1, pageCount: 3 * chunkPages });
    before.fill(0, 0, 40, randomPairs(seededRandom(1), 64, 40));
    before.pages.fill(0x7bff7bff);
    const rows = Array.from({ length: count }, (_, r) => ({ position: 1000 + r, lane: 0 }));
    const given = input(shape, [{ ...PLAIN_LANE, norm: 0.5 }], rows);
    const { after, qkv } = await run(before, given, "chunk", chunkPages);
    const expected = before.clone();
    rows.forEach((row, r) => {
      const own = given.qkv.subarray(r * width(shape), (r + 1) * width(shape));
      for (let g = 0; g < shape.kvHeads; g += 1) {
        const [page, slot] = chunkSlot(g, chunkPages, r);
        expected.setIn(page, slot, rowPair(before, given, row, own, g));
        expectPair(after.getIn(page, slot), expected.getIn(page, slot));
        expected.copyIn(page, slot, after);
      }
    });
    expect(after.pages.length).toBe(3 * chunkPages * pageWords(shape));
    expect(after.pages).toEqual(expected.pages);
    expect(after.tables).toEqual(before.tables);
    expectQueries(shape, given, qkv);
  });
});
