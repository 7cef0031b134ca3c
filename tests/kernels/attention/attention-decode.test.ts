import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import {
  createAttentionCombine,
  createAttentionDecode,
} from "../../../src/kernels/attention/attention.ts";
import {
  type AttentionVariant,
  decodeSplits,
  MAX_SPLITS,
} from "../../../src/kernels/attention/attention-tiling.ts";
import { type CacheShape, layerShapeWords } from "../../../src/kernels/pages/cache-shape.ts";
import { KV_STORAGES, type KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { seededRandom } from "../../../src/random.ts";
import { attend } from "../../reference/twins/attention/attention-decode.ts";
import {
  normals,
  PagedCache,
  randomPairs,
  rowWords,
} from "../../reference/twins/pages/paged-cache.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

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

/** Attention of one query row a lane; `lanes[row]` is the row's lane. */
async function run(cache: PagedCache, qkv: Float32Array, lanes: number[], splits: number) {
  const { shape } = cache;
  const rows = lanes.length;
  const decode = await createAttentionDecode(gpu, shape, variant);
  const combine = await createAttentionCombine(gpu, shape, variant);
  const partials = upload(
    gpu,
    new Float32Array(rows * shape.heads * MAX_SPLITS * (shape.headDim + 2)).fill(Number.NaN),
  );
  const out = upload(gpu, new Float32Array(rows * shape.heads * shape.headDim).fill(Number.NaN));
  const layerShape = gpu.ledger.uniform(
    "shape",
    layerShapeWords(shape, cache.layer, cache.maxPages, 0),
  );
  const batch = gpu.ledger.uniform("batch", new Uint32Array([rows, 0, splits, shape.heads]));
  const rowBuffer = upload(gpu, rowWords(lanes.map((lane) => ({ position: 9999, lane }))));
  const buffers = {
    shape: layerShape,
    rows: rowBuffer,
    qkv: upload(gpu, qkv),
    pages: upload(gpu, cache.pages),
    tables: upload(gpu, cache.tables),
    batch,
    partials,
    out,
  };
  gpu.run([
    decode.dispatch(buffers, [splits, shape.kvHeads, rows]),
    combine.dispatch(buffers, [shape.heads, rows]),
  ]);
  return readF32(gpu, out);
}

/** Largest |a - b| over all rows and heads, against the twin. */
function expectTwin(cache: PagedCache, qkv: Float32Array, lanes: number[], found: Float32Array) {
  const { heads, kvHeads, headDim } = cache.shape;
  const width = (heads + 2 * kvHeads) * headDim;
  let worst = 0;
  lanes.forEach((lane, r) => {
    for (let h = 0; h < heads; h += 1) {
      const query = qkv.subarray(r * width + h * headDim, r * width + (h + 1) * headDim);
      const pairs = cache.pairs(lane, Math.floor((h * kvHeads) / heads));
      const expected = attend(
        query,
        pairs,
        cache.remainder(lane, Math.floor((h * kvHeads) / heads)),
      );
      for (let d = 0; d < headDim; d += 1) {
        const difference = Math.abs(found[(r * heads + h) * headDim + d]! - expected[d]!);
        worst = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(worst, difference);
      }
    }
  });
  expect(worst).toBeLessThan(2e-5);
}

/** Of q8 and f32 fewer: what differs from f16 are the loads. */
const shapesOf = (kind: AttentionVariant, stored: KvStorage): [number, number][] =>
  stored === "f16"
    ? SHAPES[kind]
    : [
        [8, 2],
        [24, 2],
        [32, 4],
        [64, 3],
        [96, 1],
        [128, 4],
        [256, 8],
      ];

/** One lane; kv head g holds `counts[g % counts.length]` pairs in its own shuffled pages. */
function oneLane(shape: CacheShape, counts: number[], keyScale = 1) {
  const random = seededRandom(counts[0]! + shape.headDim);
  const maxPages = Math.ceil(Math.max(...counts) / 32) + 1;
  const pageCount = shape.kvHeads * maxPages;
  const cache = new PagedCache(shape, { layer: shape.layers - 1, maxPages, pageCount, seed: 3 });
  for (let g = 0; g < shape.kvHeads; g += 1) {
    const count = counts[g % counts.length]!;
    const pairs = randomPairs(random, shape.headDim, count, { first: count, step: -1, keyScale });
    cache.fill(0, g, count, pairs);
  }
  const qkv = normals(random, (shape.heads + 2 * shape.kvHeads) * shape.headDim, 2 * keyScale);
  return { cache, qkv };
}

/** [D, heads per kv head]. Few of the serial variant: it takes seconds to compile at large D. */
const SHAPES: Record<AttentionVariant, [number, number][]> = {
  tiles: [
    ...[16, 64, 128, 256].flatMap((d) => [1, 3, 4, 8].map((group): [number, number] => [d, group])),
    [8, 2],
    [24, 2],
    [80, 2],
    [160, 7],
  ],
  serial: [
    [8, 2],
    [16, 1],
    [16, 4],
    [24, 8],
    [64, 1],
    [64, 7],
    [80, 4],
    [128, 3],
    [256, 2],
  ],
};

const KINDS = (["tiles", "serial"] as const).flatMap((kind) =>
  KV_STORAGES.map((stored) => [kind, stored] as const),
);

describe.each(KINDS)("attention_decode with attention_combine, %s, %s", (kind, stored) => {
  beforeAll(() => {
    variant = kind;
    storage = stored;
  });

  test.each(shapesOf(kind, stored))("D %i, %i heads a kv head", async (headDim, group) => {
    const { cache, qkv } = oneLane(shapeOf(headDim, group), [97, 161]);
    expectTwin(cache, qkv, [0], await run(cache, qkv, [0], 3));
    // What was dropped attends too, of one head and then of both.
    for (const g of [1, 0]) {
      cache.drop(0, g, randomPairs(seededRandom(g), headDim, 30 - 29 * g));
      expectTwin(cache, qkv, [0], await run(cache, qkv, [0], 3));
    }
  });

  test.each([1, 31, 32, 33, 63, 64, 65, 500, 8191])("%i slots", async (count) => {
    const { cache, qkv } = oneLane(shapeOf(64, 3, 1, 1), [count]);
    const splits = decodeSplits(count);
    expect(splits).toBeLessThanOrEqual(MAX_SPLITS);
    expectTwin(cache, qkv, [0], await run(cache, qkv, [0], splits));
  });

  test.each([1, 2, 7, MAX_SPLITS])(
    "500 slots in %i splits: several tiles or none",
    async (splits) => {
      const { cache, qkv } = oneLane(shapeOf(64, 3), [500, 65]);
      expectTwin(cache, qkv, [0], await run(cache, qkv, [0], splits));
    },
  );

  test("an empty cache gives zeros", async () => {
    const { cache, qkv } = oneLane(shapeOf(64, 3), [0, 5]);
    const out = await run(cache, qkv, [0], 4);
    expect(out.subarray(0, 3 * 64)).toEqual(new Float32Array(3 * 64));
    expectTwin(cache, qkv, [0], out);
  });

  test.each([1, 2, 3, 4])("%i rows of different lanes", async (rows) => {
    const shape = shapeOf(64, 3, 3, 2);
    const random = seededRandom(rows);
    const options = { layer: 1, lanes: 5, maxPages: 6, pageCount: 90, seed: 5 };
    const cache = new PagedCache(shape, options);
    for (let lane = 0; lane < 5; lane += 1) {
      for (let g = 0; g < 3; g += 1) {
        const count = [1, 33, 150, 64, 0][lane]! + g;
        cache.fill(lane, g, 180, randomPairs(random, 64, count));
      }
    }
    const lanes = [2, 4, 0, 1].slice(0, rows);
    const qkv = normals(random, rows * (shape.heads + 6) * 64, 2);
    expectTwin(cache, qkv, lanes, await run(cache, qkv, lanes, 3));
  });

  test("logits of thousands", async () => {
    const { cache, qkv } = oneLane(shapeOf(64, 3), [200], 40);
    expectTwin(cache, qkv, [0], await run(cache, qkv, [0], 4));
  });

  test("keys at the edge of f16: one slot takes all", async () => {
    const { cache, qkv } = oneLane(shapeOf(64, 3), [130]);
    qkv.fill(60000);
    const key = new Float32Array(64).fill(65504);
    const value = normals(seededRandom(1), 64);
    for (const g of [0, 1]) cache.set(0, g, 70, { key, value, position: 5, score: 0 });
    const out = await run(cache, qkv, [0], 3);
    expectTwin(cache, qkv, [0], out);
    expect(out[0]).toBeCloseTo(value[0]!, 2);
  });
});
