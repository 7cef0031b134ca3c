import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../src/gpu/context.ts";
import {
  type AttentionVariant,
  createAttentionPrefill,
  type PrefillOver,
  prefillWorkgroups,
} from "../../src/kernels/attention.ts";
import { type CacheShape, layerShapeWords } from "../../src/kernels/cache-shape.ts";
import { chunkFormat, KV_STORAGES, type KvStorage } from "../../src/kernels/page-format.ts";
import { attendChunk } from "../reference/attention-prefill.ts";
import { chunkSlot } from "../reference/kv-write.ts";
import { normals, PagedCache, randomPairs, rowWords, uniform } from "../reference/paged-cache.ts";
import { readF32, testGpu, upload } from "./gpu.ts";

let gpu: GpuContext;
let variant: AttentionVariant;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

let storage: KvStorage = "f16";

const shapeOf = (headDim: number, group: number, kvHeads = 2, layers = 2): CacheShape => ({
  storage,
  layers,
  heads: group * kvHeads,
  kvHeads,
  headDim,
});

interface Case {
  /** Pairs each kv head has in the cache; head g has g fewer. */
  cached: number;
  rows: number;
  lane?: number;
  keyScale?: number;
  /** Pairs that each kv head has dropped; head g has dropped g more. */
  dropped?: number;
  /** A sliding window: the cache is then a ring of so many slots, full unless fewer tokens came. */
  window?: number;
  over?: PrefillOver;
}

/** Runs a chunk against the twin; returns the largest difference. */
async function difference(
  shape: CacheShape,
  { cached: tokens, rows, lane = 0, keyScale = 1, window = 0, dropped = 0, over = "any" }: Case,
) {
  const cached = window > 0 ? Math.min(tokens, window) : tokens;
  const first = window > 0 ? tokens : 1000;
  const { heads, kvHeads, headDim } = shape;
  const random = uniform(cached + rows);
  const maxPages = Math.ceil(cached / 32) + 1;
  const cache = new PagedCache(shape, {
    layer: shape.layers - 1,
    lanes: lane + 1,
    maxPages,
    pageCount: kvHeads * maxPages,
    seed: 3,
  });
  const chunkPages = Math.ceil(rows / 32) + 1;
  const chunk = new PagedCache(chunkFormat(shape), { pageCount: kvHeads * chunkPages });
  const past = Array.from({ length: kvHeads }, (_, g) =>
    randomPairs(random, headDim, window > 0 ? cached : Math.max(0, cached - g), { keyScale }),
  );
  const present = Array.from({ length: kvHeads }, () =>
    randomPairs(random, headDim, rows, { first, keyScale }),
  );
  if (window > 0)
    for (const pairs of past)
      pairs.forEach((pair, slot) => {
        pair.position = tokens - 1 - ((((tokens - 1 - slot) % window) + window) % window);
      });
  past.forEach((pairs, g) => {
    cache.fill(lane, g, cached, pairs);
    if (dropped > 0) cache.drop(lane, g, randomPairs(random, headDim, dropped + g));
  });
  present.forEach((pairs, g) => {
    pairs.forEach((pair, r) => {
      chunk.setIn(...chunkSlot(g, chunkPages, r), pair);
    });
  });
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = normals(random, rows * width, 2 * keyScale);

  const kernel = await createAttentionPrefill(gpu, shape, variant, window, over);
  const out = upload(gpu, new Float32Array(rows * heads * headDim).fill(Number.NaN));
  const lse = upload(gpu, new Float32Array(rows * heads).fill(Number.NaN));
  const bindings = kernel.bind(
    gpu.ledger.uniform("shape", layerShapeWords(shape, cache.layer, maxPages, chunkPages)),
    gpu.ledger.uniform("batch", new Uint32Array([rows, 0, 1, heads])),
    upload(gpu, rowWords(Array.from({ length: rows }, (_, r) => ({ position: first + r, lane })))),
    upload(gpu, qkv),
    upload(gpu, cache.pages),
    upload(gpu, chunk.pages),
    upload(gpu, cache.tables),
    out,
    lse,
  );
  gpu.run([{ kernel, bindings, workgroups: prefillWorkgroups(gpu, shape, rows, variant) }]);
  const found = await readF32(gpu, out);
  const sums = await readF32(gpu, lse);

  let worst = 0;
  for (let h = 0; h < heads; h += 1) {
    const g = Math.floor((h * kvHeads) / heads);
    const inPages = Array.from({ length: rows }, (_, r) =>
      chunk.getIn(...chunkSlot(g, chunkPages, r)),
    );
    const queries = Array.from({ length: rows }, (_, r) =>
      qkv.subarray(r * width + h * headDim, r * width + (h + 1) * headDim),
    );
    const remainder = cache.remainder(lane, g);
    const twins = attendChunk(queries, cache.pairs(lane, g), inPages, window, remainder);
    twins.forEach((expected, r) => {
      const apart = Math.abs(sums[r * heads + h]! - expected.lse);
      worst = Math.max(worst, apart / Math.max(1, Math.abs(expected.lse)));
      expected.out.forEach((x, d) => {
        const error = Math.abs(found[(r * heads + h) * headDim + d]! - x);
        worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
      });
    });
  }
  return worst;
}

/** [D, heads a kv head]: each takes seconds to compile. */
const SHAPES: Record<AttentionVariant, [number, number][]> = {
  tiles: [
    [8, 2],
    [16, 4],
    [24, 2],
    [64, 1],
    [64, 8],
    [80, 3],
    [128, 3],
    [256, 1],
  ],
  serial: [
    [8, 2],
    [16, 4],
    [24, 3],
    [64, 1],
    [80, 8],
    [128, 3],
    [256, 1],
  ],
};

/** Of q8 and f32 fewer: what differs from f16 are the loads. */
const shapesOf = (kind: AttentionVariant, stored: KvStorage): [number, number][] =>
  stored === "f16"
    ? SHAPES[kind]
    : [
        [24, 3],
        [32, 4],
        [64, 3],
        [96, 1],
        [128, 2],
        [256, 1],
      ];

const KINDS = (["tiles", "serial"] as const).flatMap((kind) =>
  KV_STORAGES.map((stored) => [kind, stored] as const),
);

describe.each(KINDS)("attention_prefill, %s, %s", (kind, stored) => {
  beforeAll(() => {
    variant = kind;
    storage = stored;
  });

  test.each(shapesOf(kind, stored))("D %i, %i heads a kv head", async (headDim, group) => {
    const found = await difference(shapeOf(headDim, group), { cached: 40, rows: 33 });
    expect(found).toBeLessThan(1e-5);
    const after = { cached: 40, rows: 33, dropped: 9 };
    expect(await difference(shapeOf(headDim, group), after)).toBeLessThan(1e-5);
  });

  test("what was dropped, and nothing in the cache", async () => {
    const found = await difference(shapeOf(64, 3), { cached: 0, rows: 40, dropped: 1, lane: 2 });
    expect(found).toBeLessThan(1e-5);
  });

  test.each([0, 1, 40, 500].flatMap((cached) => [1, 5, 64, 130].map((rows) => [cached, rows])))(
    "%i in the cache, %i rows",
    async (cached, rows) => {
      const found = await difference(shapeOf(64, 3), { cached: cached!, rows: rows! });
      expect(found).toBeLessThan(1e-5);
    },
  );

  test.each([
    [40, 0, 60],
    [40, 17, 60],
    [40, 40, 3],
    [40, 95, 130],
    [1, 9, 5],
  ])("a window of %i, %i tokens before %i rows", async (window, cached, rows) => {
    expect(await difference(shapeOf(16, 4), { cached, rows, window })).toBeLessThan(1e-5);
  });

  test("another lane of the tables", async () => {
    expect(await difference(shapeOf(64, 3), { cached: 70, rows: 5, lane: 3 })).toBeLessThan(1e-5);
  });

  test("logits of thousands", async () => {
    const found = await difference(shapeOf(64, 3), { cached: 70, rows: 40, keyScale: 40 });
    expect(found).toBeLessThan(2e-2);
  });
});

/** On GPUs these are the kernel above. */
describe.each(KV_STORAGES)("attention_prefill for processors, %s", (stored) => {
  beforeAll(() => {
    variant = "serial";
    storage = stored;
  });

  const empty = [
    [64, 3, 130, 0],
    [64, 3, 1, 0],
    [16, 4, 60, 40],
    [128, 2, 33, 0],
    [256, 1, 5, 0],
  ] as const;
  test.each(stored === "f16" ? empty : empty.slice(0, 1))(
    "an empty cache, D %i, %i heads a kv head, %i rows, a window of %i",
    async (...[headDim, group, rows, window]) => {
      const found = await difference(shapeOf(headDim, group), {
        cached: 0,
        rows,
        window,
        over: "empty",
      });
      expect(found).toBeLessThan(1e-5);
    },
  );

  test.each([
    [16, 4, 5, 40, 30, 9],
    [64, 3, 1, 0, 0, 0],
    [64, 3, 63, 500, 0, 0],
    [64, 3, 130, 1, 0, 3],
    [64, 3, 128, 41, 0, 100],
  ])(
    "a long block, D %i, %i heads a kv head, %i rows behind %i, a window of %i, %i dropped",
    async (...[headDim, group, rows, cached, window, dropped]) => {
      const block = { cached, rows, window, dropped, over: "block" as const };
      expect(await difference(shapeOf(headDim, group), block)).toBeLessThan(1e-5);
    },
  );
});
