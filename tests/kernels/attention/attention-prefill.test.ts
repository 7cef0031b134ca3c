import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import type { AttentionVariant } from "../../../src/kernels/attention/attention-tiling.ts";
import type { CacheShape } from "../../../src/kernels/pages/cache-shape.ts";
import { KV_STORAGES, type KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { testGpu } from "../gpu.ts";
import { type PrefillCase, prefillDifference } from "./prefill-case.ts";

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

const difference = (shape: CacheShape, test: PrefillCase): Promise<number> =>
  prefillDifference(gpu, shape, { variant, ...test });

/** [D, heads per kv head]: each takes seconds to compile. */
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
    "behind a cache, D %i, %i heads a kv head, %i rows behind %i, a window of %i, %i dropped",
    async (...[headDim, group, rows, cached, window, dropped]) => {
      const behind = { cached, rows, window, dropped };
      expect(await difference(shapeOf(headDim, group), behind)).toBeLessThan(1e-5);
    },
  );
});
