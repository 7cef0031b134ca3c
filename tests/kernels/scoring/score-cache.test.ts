import { afterAll, beforeAll, describe, test } from "vitest";
import { UNLIMITED } from "../../../src/cache/budget.ts";
import type { GpuContext } from "../../../src/gpu/context.ts";
import type { Kernel } from "../../../src/gpu/kernel.ts";
import type { CacheShape } from "../../../src/kernels/pages/cache-shape.ts";
import { foldStride, ropePosition } from "../../../src/kernels/pages/fold.ts";
import type { KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { inverseFrequencies, ropeTable } from "../../../src/kernels/rope-table.ts";
import {
  type HeadScore,
  headStride,
  type PartWeights,
  writeHeadScore,
} from "../../../src/kernels/scoring/head-data.ts";
import {
  createJoinedScores,
  PARTS_TILES,
  partsBytes,
} from "../../../src/kernels/scoring/joined-scores.ts";
import { createScoreCache, type ScoreTarget } from "../../../src/kernels/scoring/score-cache.ts";
import { headDataShape, type ScoreFeatures } from "../../../src/kernels/scoring/score-features.ts";
import { seededRandom } from "../../../src/random.ts";
import { normals, PLAIN_LANE } from "../../reference/twins/pages/paged-cache.ts";
import { scoreCache } from "../../reference/twins/scoring/score-cache.ts";
import { testGpu, upload } from "../gpu.ts";
import {
  candidatesOf,
  expectScores,
  makeScene,
  runScene,
  type Scene,
  type SceneTarget,
} from "./score-scene.ts";

const CONTEXT = 8192;
const G = 2;
const LAYER = 1;
/** Candidates of a head whose attention has a place. */
const ROOM = 1000;
const SCORING = 5;
const LANE = { ...PLAIN_LANE, seed: 7, scoring: SCORING, every: 8 };
const BLOCK = { kind: "block" } as const;
const STEP = { kind: "step", scoring: SCORING } as const;

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const shapeOf = (headDim: number, storage: KvStorage, group = 2): CacheShape => ({
  layers: 2,
  heads: group * G,
  kvHeads: G,
  headDim,
  storage,
});

/** A head of random vectors, with every coefficient. */
function randomHead(D: number, seed: number, quadratic = true, queries = 1): Required<HeadScore> {
  const random = seededRandom(seed);
  const rows = quadratic ? Array.from({ length: D }, () => normals(random, D, 0.3)) : [];
  // S = A A' is symmetric and no less than 0.
  const covariance = rows.flatMap((a) =>
    rows.map((b) => Math.fround(a.reduce((sum, x, i) => sum + x * b[i]!, 0))),
  );
  return {
    dot: -0.7,
    norm: 0.4,
    position: 1e-3,
    random: 0.5,
    moving: 0.6,
    pairNorm: 0.3,
    quadratic: 0.05,
    logValue: 1.5,
    logAge: -0.8,
    novelty: 2,
    weights: { importance: 0.9, novelty: 1.3, keySpread: 1.1, valueSpread: -0.7, observed: 0.8 },
    filter: normals(random, D, 0.5),
    expectedQuery: normals(random, queries * D),
    pairWeights: normals(random, D / 2),
    covariance,
  };
}

/** What scores are made from. `pool`: they are joined from parts. */
interface Scored {
  runs: readonly { kernel: Kernel; workgroups: readonly [number, number] }[];
  features: ScoreFeatures;
  pool?: number | undefined;
  shape: CacheShape;
  heads: readonly HeadScore[];
  data: GPUBuffer;
  rope: GPUBuffer;
}

async function prepare(
  shape: CacheShape,
  features: ScoreFeatures,
  target: ScoreTarget,
  heads: readonly HeadScore[],
  { pool, workgroup = 64 }: { pool?: number; workgroup?: 64 | 256 } = {},
): Promise<Scored> {
  const { headDim, layers } = shape;
  const dataShape = headDataShape(shape, features);
  const stride = headStride(dataShape);
  // Other layers hold what would show.
  const words = new Float32Array(layers * G * stride).fill(1e9);
  heads.forEach((head, g) => {
    const at = (LAYER * G + g) * stride;
    const { covariance, ...others } = head;
    const own = features.quadratic && covariance ? head : others;
    writeHeadScore(own, dataShape, words.subarray(at, at + stride));
  });
  const data = gpu.ledger.storage("weights", "head data", words.byteLength);
  gpu.write(data, words);
  const table = ropeTable(inverseFrequencies(headDim, 10000), CONTEXT);
  const rope = gpu.ledger.storage("weights", "rope", table.byteLength);
  gpu.write(rope, table);
  const scored = { features, shape, pool, heads, data, rope };
  if (pool === undefined) {
    const kernel = await createScoreCache(gpu, shape, features, target, workgroup);
    return { ...scored, runs: [{ kernel, workgroups: [1, G] }] };
  }
  const joined = await createJoinedScores(gpu, shape, features, pool, workgroup);
  const { context, parts, join } = joined;
  return {
    ...scored,
    runs: [
      { kernel: context, workgroups: [1, G] },
      { kernel: parts, workgroups: [PARTS_TILES, G] },
      { kernel: join, workgroups: [1, G] },
    ],
  };
}

/** Runs the kernel; expects the scores of `scored` (lane, kv head) and no others to be the twin's. */
async function expectTwin(
  scored: Scored,
  scene: Scene,
  target: SceneTarget,
  due: (lane: number, g: number) => boolean,
  tolerance = 2e-5,
  observed = normals(seededRandom(8), G * ROOM, 0.01).map(Math.abs),
): Promise<void> {
  const { data, rope, features, pool, heads, shape } = scored;
  const joins = pool !== undefined;
  // What an earlier layer has left.
  const parts = new Float32Array(partsBytes(shape, ROOM) / 4).fill(1e9);
  const after = await runScene(gpu, scene, target, scored.runs, {
    head_data: data,
    rope_table: rope,
    observed: upload(gpu, observed),
    joined: upload(gpu, parts),
  });
  const lanes =
    "rows" in target
      ? target.rows.map(({ lane, position }) => ({ lane, last: position - 1 }))
      : [target];
  const expected = lanes.flatMap(({ lane, last }) =>
    heads.flatMap((head, g) => {
      if (!due(lane, g)) return [];
      const scores = scoreCache(candidatesOf(scene, lane, g), {
        features,
        ...(joins ? { pool } : {}),
        head,
        index: LAYER * G + g,
        seed: scene.lanes[lane]!.seed,
        last,
        standing: (position) =>
          ropePosition(position, scene.lanes[lane]!.folds ?? 0, foldStride(shape.trained ?? 0)),
        count: scene.cache.count(lane, g),
        observed: observed.subarray(g * ROOM),
        inverseFrequencies: inverseFrequencies(shape.headDim, 10000),
      });
      return [{ lane, g, scores }];
    }),
  );
  expectScores(scene, after, expected, tolerance);
}

/** A block of `rows` on lane 1 of 2, whose heads hold `count` and a bit more. */
const blockScene = (shape: CacheShape, count: number, rows: number, folds = 0): Scene =>
  makeScene({
    shape,
    lanes: [LANE, { ...LANE, folds }],
    fill: (_, g) => ({ count: count + g }),
    rows,
    seed: count + rows + 1,
  });

/** A zero coefficient but for one. */
const only = (head: Required<HeadScore>, part: Partial<HeadScore>): HeadScore => {
  const { filter, expectedQuery, pairWeights, covariance } = head;
  return { filter, expectedQuery, pairWeights, covariance, ...part };
};

describe("score_cache: each feature alone against its twin", () => {
  const shape = shapeOf(64, "f16");
  const alone: [string, ScoreFeatures, (head: Required<HeadScore>) => Partial<HeadScore>][] = [
    ["moving", { moving: true }, () => ({ moving: 1 })],
    ["pairNorm", { pairNorm: true }, () => ({ pairNorm: 1 })],
    ["quadratic", { quadratic: true }, () => ({ quadratic: 1 })],
    ["value", { value: true }, () => ({ logValue: 1 })],
    ["novelty", { novelty: true }, () => ({ novelty: 1 })],
  ];
  test.each(alone)("%s", async (_name, features, part) => {
    const heads = [1, 2].map((seed) => {
      const head = randomHead(64, seed);
      return only(head, part(head));
    });
    const scored = await prepare(shape, features, BLOCK, heads);
    for (const [count, rows] of [
      [0, 1],
      [33, 70],
    ] as const)
      await expectTwin(
        scored,
        blockScene(shape, count, rows),
        { lane: 1, last: 5129, all: true },
        () => true,
      );
  });

  test("what needs no feature: dot, norm, position, random, age", async () => {
    for (const part of [{ dot: 1 }, { norm: -1 }, { position: 1 }, { random: 1 }, { logAge: -1 }]) {
      const heads = [1, 2].map((seed) => only(randomHead(64, seed, false), part));
      const scored = await prepare(shape, {}, BLOCK, heads);
      await expectTwin(
        scored,
        blockScene(shape, 33, 31),
        { lane: 1, last: 5030, all: true },
        () => true,
      );
    }
  });
});

const ALL: ScoreFeatures = {
  moving: true,
  pairNorm: true,
  quadratic: true,
  value: true,
  novelty: true,
};

describe("score_cache: all features at once", () => {
  test.each([
    [16, "f16"],
    [64, "q8"],
    [80, "f16"],
    [128, "f32"],
    [256, "q8"],
  ] as const)("D %i, %s", async (D, storage) => {
    const shape = shapeOf(D, storage);
    const heads = [1, 2].map((seed) => randomHead(D, seed));
    const scored = await prepare(shape, ALL, BLOCK, heads);
    const sizes = [
      [10, 33],
      [0, 130],
      [500, 0],
    ].slice(0, D === 16 ? 3 : 1);
    for (const [count, rows] of sizes)
      await expectTwin(
        scored,
        blockScene(shape, count!, rows!),
        { lane: 1, last: 5200, all: true },
        () => true,
        1e-4,
      );
  });
});

test.each([
  ["score_cache", undefined],
  ["scores joined from parts", 2],
])("%s of a chat whose positions were folded", async (_, pool) => {
  const shape = { ...shapeOf(64, "f16"), trained: 64 };
  const heads = [1, 2].map((seed) => randomHead(64, seed));
  const scored = await prepare(shape, ALL, BLOCK, heads, pool === undefined ? {} : { pool });
  for (const folds of [1, 4])
    await expectTwin(
      scored,
      blockScene(shape, 40, 70, folds),
      { lane: 1, last: 140, all: true },
      () => true,
      1e-4,
    );
});

describe("scores joined from parts: each part alone against its twin", () => {
  const shape = shapeOf(64, "f16");
  const none = { importance: 0, novelty: 0, keySpread: 0, valueSpread: 0, observed: 0 };
  const alone: [string, number, Partial<PartWeights>][] = [
    ["importance", 0, { importance: 1 }],
    ["novelty", 0, { novelty: 1 }],
    ["spread of keys", 0, { keySpread: 1 }],
    ["spread of values", 0, { valueSpread: 1 }],
    ["observed attention", 0, { observed: 1 }],
    ["the highest of neighbours", 2, { importance: 1 }],
  ];
  test.each(alone)("%s", async (_name, pool, weights) => {
    const heads = [1, 2].map((seed) =>
      only(randomHead(64, seed), { norm: 1, weights: { ...none, ...weights } }),
    );
    const scored = await prepare(shape, {}, BLOCK, heads, { pool });
    for (const [count, rows] of [
      [3, 1],
      [33, 70],
    ] as const)
      await expectTwin(
        scored,
        blockScene(shape, count, rows),
        { lane: 1, last: 5129, all: true },
        () => true,
      );
  });
});

describe("scores joined from parts: as winnow scores a prompt", () => {
  const features: ScoreFeatures = {
    moving: true,
    ofEachHead: true,
    pairNorm: true,
    value: true,
    novelty: true,
  };
  const target = { lane: 1, last: 5200, all: true };

  // A workgroup pools 64 rows at a time: one, several, and as many as fill them; fewer than neighbours.
  test.each([
    [1, 64, "f16", 4, 64],
    [2, 64, "q8", 4, 64],
    [3, 64, "f32", 4, 64],
    [4, 128, "f16", 7, 64],
    [3, 80, "f16", 4, 256],
    [2, 16, "q8", 4, 256],
    // Queries fill what a workgroup has; heads too large for that.
    [8, 256, "f16", 4, 64],
    [8, 512, "f16", 4, 64],
    [8, 512, "q8", 4, 256],
  ] as const)(
    "%i heads a group, D %i, %s, %i neighbours",
    async (...[group, D, storage, pool, workgroup]) => {
      const shape = shapeOf(D, storage, group);
      const heads = [1, 2].map((seed) => randomHead(D, seed, false, group));
      const scored = await prepare(shape, features, BLOCK, heads, { pool, workgroup });
      for (const [count, rows] of [
        [40, 130],
        [0, 300],
        [70, 128],
        [5, 3],
      ] as const)
        await expectTwin(scored, blockScene(shape, count, rows), target, () => true, 1e-4);
    },
  );

  test("a part that is the same of all candidates counts for nothing", async () => {
    // A kernel that is compiled already.
    const shape = shapeOf(64, "f16", 1);
    const all = [1, 2].map((seed) => randomHead(64, seed, false, 1));
    const scene = blockScene(shape, 33, 70);
    const same = new Float32Array(G * ROOM).fill(0.02);
    const none = { moving: 0, pairNorm: 0, logValue: 0, novelty: 0 };
    const heads = all.map((head) => only(head, { ...none, weights: head.weights }));
    const scored = await prepare(shape, features, BLOCK, heads, { pool: 4 });
    await expectTwin(scored, scene, target, () => true, 1e-4);
    await expectTwin(scored, scene, target, () => true, 1e-4, same);
    // Of one candidate all parts are.
    const whole = await prepare(shape, features, BLOCK, all, { pool: 4 });
    const one = makeScene({ shape, lanes: [LANE, LANE], fill: () => ({ count: 0 }), rows: 1 });
    await expectTwin(whole, one, target, () => true);
  });

  test.each([
    [3, 64, 64],
    [8, 256, 256],
    [8, 512, 64],
    [8, 512, 256],
  ] as const)("a step: %i expected queries of %i, what is in the cache alone", async (...case_) => {
    const [queries, D, workgroup] = case_;
    const shape = shapeOf(D, "f16", queries);
    const heads = [1, 2].map((seed) => randomHead(D, seed, false, queries));
    const scored = await prepare(shape, features, STEP, heads, { workgroup });
    const scene = makeScene({ shape, lanes: [LANE, LANE], fill: (_, g) => ({ count: 90 + g }) });
    const rows = [1, 0].map((lane) => ({ lane, position: 640 }));
    await expectTwin(scored, scene, { rows }, () => true, 1e-4);
  });
});

describe("which heads are scored", () => {
  const features = { novelty: true, value: true };
  const heads = [1, 2].map((seed) => randomHead(16, seed, false));
  const shape = shapeOf(16, "f16");

  test.each([
    ["at once", {}],
    ["joined from parts", { pool: 2 }],
  ])(
    "of a block, %s: those that evict now or within the lane's interval, of that lane alone",
    async (_, joined) => {
      const scored = await prepare(shape, features, BLOCK, heads, joined);
      const scene = (capacity: number) =>
        makeScene({
          shape,
          lanes: [LANE, LANE],
          fill: (_, g) => ({ count: 40, capacity: capacity + g }),
          rows: 20,
        });
      const target = { lane: 0, last: 5019 };
      // 60 candidates and 8 tokens ahead.
      await expectTwin(scored, scene(50), target, () => true);
      await expectTwin(scored, scene(67), target, (_, g) => g === 0);
      await expectTwin(scored, scene(68), target, () => false);
      await expectTwin(scored, scene(68), { ...target, all: true }, () => true);
      const unlimited = scene(96);
      for (const g of [0, 1]) unlimited.cache.tables[unlimited.cache.row(0, g) + 1] = UNLIMITED;
      await expectTwin(scored, unlimited, { ...target, all: true }, () => true);
      await expectTwin(
        scored,
        makeScene({ ...scene(9), rows: 0, fill: () => ({ count: 0 }) }),
        target,
        () => false,
      );
    },
  );

  test("of a step: lanes of this scoring at positions of their interval, before they evict", async () => {
    const scored = await prepare(shape, features, STEP, heads);
    const lanes = [
      LANE,
      { ...LANE, scoring: SCORING + 1 },
      { ...LANE, every: 5 },
      { ...LANE, every: 64 },
      { ...LANE, scoring: 0 },
    ];
    const scene = makeScene({
      shape,
      lanes,
      fill: (lane, g) => ({ count: [100, 100, 33, 70, 100][lane]! + g, capacity: 104 }),
    });
    const rows = [4, 2, 0, 1, 3].map((lane) => ({ lane, position: 640 }));
    const due = [true, false, false, true, false];
    await expectTwin(scored, scene, { rows }, (lane) => due[lane]!);
    // No multiple of any interval but that of lane 2, which has room.
    const later = rows.map(({ lane }) => ({ lane, position: 645 }));
    await expectTwin(scored, scene, { rows: later }, () => false);
  });

  test("of a step: one whose heads differ in capacity, and an empty one", async () => {
    const scored = await prepare(shape, features, STEP, heads);
    const scene = makeScene({
      shape,
      lanes: [LANE, LANE],
      fill: (lane, g) => ({ count: lane * 60, capacity: 67 + g }),
    });
    const rows = [0, 1].map((lane) => ({ lane, position: 640 * lane }));
    await expectTwin(scored, scene, { rows }, (lane, g) => lane === 1 && g === 0);
  });
});
