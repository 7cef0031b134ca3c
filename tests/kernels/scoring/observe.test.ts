import { afterAll, beforeAll, expect, test } from "vitest";
import type { AdapterKind } from "../../../src/gpu/adapter-kind.ts";
import type { GpuContext } from "../../../src/gpu/context.ts";
import type { CacheShape } from "../../../src/kernels/pages/cache-shape.ts";
import type { KvStorage } from "../../../src/kernels/pages/page-format.ts";
import { BATCH } from "../../../src/kernels/records.ts";
import {
  createObserve,
  OBSERVE_TILES,
  type Observation,
  SECOND_READING,
} from "../../../src/kernels/scoring/observe.ts";
import type { ScoreTarget } from "../../../src/kernels/scoring/score-cache.ts";
import { seededRandom } from "../../../src/random.ts";
import { attentionLse } from "../../reference/twins/attention/attention-decode.ts";
import { normals, PLAIN_LANE, rowWords } from "../../reference/twins/pages/paged-cache.ts";
import { observe } from "../../reference/twins/scoring/observe.ts";
import { readF32, testGpu, upload } from "../gpu.ts";
import {
  candidatesOf,
  expectScores,
  makeScene,
  runScene,
  type Scene,
  type SceneTarget,
} from "./score-scene.ts";

const G = 2;
const SCORING = 3;
/** Candidates of a head whose attention has a place beside the scores. */
const ROOM = 1000;
const LANE = { ...PLAIN_LANE, scoring: SCORING, every: 1 };

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const shapeOf = (headDim: number, storage: KvStorage = "f16", group = 2): CacheShape => ({
  layers: 2,
  heads: group * G,
  kvHeads: G,
  headDim,
  storage,
});

/** Which query of which lane is seen, at what row of qkv, and how many candidates of a head it sees. */
interface Seen {
  lane: number;
  row: number;
  sees: (count: number) => number;
}

/** Runs the kernels; expects the twin's scores in the lanes of `seen` and no others. */
async function expectTwin(
  scene: Scene,
  target: SceneTarget,
  observation: Observation,
  seen: readonly Seen[],
  kind?: AdapterKind,
  tolerance = 1e-4,
): Promise<void> {
  const { shape } = scene;
  const { heads, kvHeads, headDim } = shape;
  const step: ScoreTarget = { kind: "step", scoring: SCORING };
  const { lse, mass } = await createObserve(
    gpu,
    shape,
    observation,
    "rows" in target ? step : { kind: "block" },
    kind,
  );
  const rows = "rows" in target ? target.rows.length : 140;
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = normals(seededRandom(3), rows * width, 1.5);
  const group = heads / kvHeads;
  const query = (row: number, g: number) =>
    Array.from({ length: group }, (_, h) => {
      const at = row * width + (g * group + h) * headDim;
      return qkv.subarray(at, at + headDim);
    });
  const sums = new Float32Array(rows * heads).fill(Number.NaN);
  // Of a block attention has left them.
  if (!lse)
    for (const { lane, row, sees } of seen)
      for (let g = 0; g < kvHeads; g += 1) {
        const pairs = candidatesOf(scene, lane, g).slice(0, sees(scene.cache.count(lane, g)));
        for (const [h, of] of query(row, g).entries())
          sums[row * heads + g * group + h] = attentionLse(of, pairs);
      }
  const buffers = { qkv: upload(gpu, qkv), lse: upload(gpu, sums) };
  const observed = observation.apart && upload(gpu, new Float32Array(G * ROOM).fill(-1));
  const runs = [
    ...(lse ? [{ kernel: lse, workgroups: [1, kvHeads] as const }] : []),
    { kernel: mass, workgroups: [OBSERVE_TILES, kvHeads] as const },
  ];
  const after = await runScene(gpu, scene, target, runs, {
    ...buffers,
    ...(observed ? { observed } : {}),
  });
  expect(await readF32(gpu, buffers.qkv)).toEqual(qkv);
  const lanes = [...new Set(seen.map(({ lane }) => lane))];
  const expected = lanes.flatMap((lane) =>
    Array.from({ length: kvHeads }, (_, g) => {
      const count = scene.cache.count(lane, g);
      const own = seen
        .filter((s) => s.lane === lane)
        .map(({ row, sees }) => ({ heads: query(row, g), sees: sees(count) }));
      const scores = observe(candidatesOf(scene, lane, g), count, own, observation);
      return { lane, g, scores };
    }),
  );
  if (!observed) return expectScores(scene, after, expected, tolerance);
  // No score changes, and nothing is left beyond the candidates.
  expectScores(scene, after, [], tolerance);
  const left = await readF32(gpu, observed);
  for (const { g, scores } of expected) {
    const own = left.subarray(g * ROOM, (g + 1) * ROOM);
    const most = Math.max(...scores);
    const worst = scores.map((score, i) => Math.abs(own[i]! - score) / most);
    expect(Math.max(...worst), `kv head ${g}`).toBeLessThan(tolerance);
    expect(own.subarray(scores.length).every((x) => x === -1)).toBe(true);
  }
}

/** A block of `rows` on lane 1, whose last `queries` rows are observed. */
function expectBlock(
  shape: CacheShape,
  [count, rows, queries]: readonly [number, number, number],
  observation: Observation,
  kind?: AdapterKind,
): Promise<void> {
  const scene = makeScene({
    shape,
    lanes: [LANE, LANE],
    fill: (_, g) => ({ count: count + 3 * g }),
    rows,
    seed: count + rows,
  });
  const firstQuery = 140 - queries;
  const seen = Array.from({ length: queries }, (_, q) => ({
    lane: 1,
    row: firstQuery + q,
    sees: (cached: number) => cached + rows - queries + q + 1,
  }));
  const target = { lane: 1, last: 0, queries, firstQuery };
  return expectTwin(scene, target, observation, seen, kind);
}

test.each([
  [16, "f16"],
  [64, "q8"],
  [80, "f32"],
  [256, "f16"],
] as const)("block: attention of its last rows, D %i, %s", async (headDim, storage) => {
  const shape = shapeOf(headDim, storage);
  const plain = { pool: 0, accumulate: false };
  await expectBlock(shape, [33, 31, 5], plain);
  if (headDim === 16)
    for (const size of [
      [0, 1, 1],
      [0, 130, 64],
      [500, 33, 33],
      [1, 100, 7],
    ] as const)
      await expectBlock(shape, size, plain);
});

test.each([
  [2, false],
  [2, true],
  [10, false],
  [10, true],
] as const)("block: pooled over %i neighbours, peaks %s", async (pool, peaks) => {
  const observation = { pool, peaks, accumulate: false };
  // More rows than the tiles take at once, all rows observed, and fewer rows than neighbours.
  for (const size of [
    [40, 130, 9],
    [0, 70, 70],
    [5, 3, 2],
  ] as const)
    await expectBlock(shapeOf(16), size, observation);
});

test.each([
  ["f16", 64, 2, "cpu"],
  ["q8", 64, 3, "cpu"],
  ["f32", 64, 4, "gpu"],
  ["f16", 128, 3, "cpu"],
  ["q8", 80, 3, "gpu"],
] as const)(
  "block: left beside the scores, %s, D %i, %i heads a group, for a %s",
  async (...[storage, headDim, group, kind]) => {
    const observation = { pool: 10, peaks: true, accumulate: false, apart: true };
    for (const size of [
      [40, 130, 32],
      [0, 200, 32],
      [70, 12, 12],
      [33, 1, 1],
    ] as const)
      await expectBlock(shapeOf(headDim, storage, group), size, observation, kind);
  },
);

test.each([
  ["gpu", 500],
  ["cpu", 1500],
] as const)(
  "block: tiles come round where there are many candidates, for a %s",
  async (kind, count) => {
    await expectBlock(shapeOf(16), [count, 300, 2], { pool: 10, accumulate: false }, kind);
  },
);

test("block: peaks of a query group without neighbours; a group of one", async () => {
  await expectBlock(shapeOf(16, "f16", 3), [33, 31, 5], {
    pool: 0,
    peaks: true,
    accumulate: false,
  });
  await expectBlock(shapeOf(16, "f16", 1), [33, 31, 5], { pool: 2, accumulate: false });
});

test("block: sums over all queries are added to the scores", async () => {
  for (const size of [
    [33, 31, 31],
    [0, 130, 128],
  ] as const)
    await expectBlock(shapeOf(16), size, { pool: 0, accumulate: true });
});

test("step: each lane of this scoring gets its own query's attention", async () => {
  const shape = shapeOf(64, "q8");
  const counts = [100, 1, 33, 500];
  const lanes = [LANE, LANE, { ...LANE, scoring: 0 }, LANE];
  const scene = makeScene({ shape, lanes, fill: (lane, g) => ({ count: counts[lane]! + g }) });
  const order = [3, 2, 0, 1];
  const rows = order.map((lane) => ({ lane, position: 700 + lane }));
  const seen = order.flatMap((lane, row) =>
    lane === 2 ? [] : [{ lane, row, sees: (count: number) => count }],
  );
  await expectTwin(scene, { rows }, { pool: 0, accumulate: true }, seen);
});

test.each([
  ["f16", 64, 3, "cpu", false],
  ["f16", 64, 3, "cpu", true],
  ["q8", 16, 2, "gpu", true],
  ["f32", 80, 1, "cpu", false],
] as const)(
  "second reading: the most attention of all its chunks, %s, D %i, %i heads a group, for a %s, scores of another kind: %s",
  async (storage, headDim, group, kind, anew) => {
    const shape = shapeOf(headDim, storage, group);
    const { heads, kvHeads } = shape;
    for (const [cached, rows] of [
      [40, 130],
      [0, 3],
      [150, 70],
    ] as const) {
      const scene = makeScene({
        shape,
        lanes: [LANE, LANE],
        fill: (_, g) => ({ count: cached && cached + 3 * g }),
        rows,
        seed: cached + rows,
      });
      const { mass } = await createObserve(gpu, shape, SECOND_READING, { kind: "reread" }, kind);
      const target = { lane: 1, last: 0, anew };
      const width = (heads + 2 * kvHeads) * headDim;
      /** [G]: the most that any row so far has paid to each candidate. */
      const scores = Array.from({ length: kvHeads }, (_, g) =>
        candidatesOf(scene, 1, g).map(({ score }, i) =>
          anew || i >= scene.cache.count(1, g) ? 0 : score,
        ),
      );
      let after = scene;
      const count = Math.ceil(rows / 2);
      for (const [first, size] of [
        [0, count],
        [count, rows - count],
      ] as const) {
        const qkv = normals(seededRandom(first + 3), size * width, 1.5);
        // Rows also see their own repetition, which takes a part of their attention.
        const lse = new Float32Array(size * heads);
        for (const [g, most] of scores.entries()) {
          const pairs = candidatesOf(scene, 1, g);
          for (let row = 0; row < size; row += 1)
            for (let h = g * group; h < (g + 1) * group; h += 1) {
              const at = row * width + h * headDim;
              const query = qkv.subarray(at, at + headDim);
              const own = attentionLse(query, pairs) + 0.5;
              lse[row * heads + h] = own;
              pairs.forEach(({ key }, i) => {
                const logit =
                  key.reduce((sum, x, d) => sum + x * query[d]!, 0) / Math.sqrt(headDim);
                most[i] = Math.max(most[i]!, Math.exp(logit - own));
              });
            }
        }
        const places = Array.from({ length: size }, (_, i) => ({ lane: 1, position: 6000 + i }));
        const own = {
          qkv: upload(gpu, qkv),
          lse: upload(gpu, lse),
          rows: upload(gpu, rowWords(places, rows + first)),
          batch: gpu.ledger.uniform("batch", BATCH.pack({ rows: size, first: 0, splits: 1 })),
        };
        const run = { kernel: mass, workgroups: [OBSERVE_TILES, kvHeads] as const };
        after = await runScene(gpu, after, target, [run], own);
      }
      expectScores(
        scene,
        after,
        scores.map((own, g) => ({ lane: 1, g, scores: own })),
        1e-4,
      );
    }
  },
);
