import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import type { CacheShape } from "../../../src/kernels/pages/cache-shape.ts";
import { PAGE_SLOTS } from "../../../src/kernels/pages/page-format.ts";
import { createLagScores, LAG_GROUPS } from "../../../src/kernels/scoring/lag-scores.ts";
import { chunkSlot } from "../../reference/twins/pages/kv-write.ts";
import {
  type Lane,
  type PagedCache,
  type Pair,
  PLAIN_LANE,
} from "../../reference/twins/pages/paged-cache.ts";
import { lagScores } from "../../reference/twins/scoring/lag-scores.ts";
import { testGpu } from "../gpu.ts";
import {
  candidatesOf,
  expectScores,
  makeScene,
  runScene,
  type Scene,
  type SceneOptions,
  type SceneTarget,
} from "./score-scene.ts";

const G = 2;
const LAG = 128;
const SCORING = 5;
const laneOf = (every: number, sinks: number): Lane => ({
  ...PLAIN_LANE,
  sinks,
  scoring: SCORING,
  every,
  phase: sinks % every,
});

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

type Target =
  | { lane: number; last: number; all?: boolean; anew?: boolean }
  | Extract<SceneTarget, { rows: unknown }>;

const shapeOf = (headDim: number, storage: CacheShape["storage"] = "f32"): CacheShape => ({
  layers: 2,
  heads: 2 * G,
  kvHeads: G,
  headDim,
  storage,
});

/** A scene whose pairs have the scores that `scoreOf` gives. */
function scene(
  options: Omit<SceneOptions, "shape"> & { shape?: CacheShape },
  scoreOf: (pair: Pair) => number,
  change: (pair: Pair) => Pair = (pair) => pair,
): Scene {
  const made = makeScene({ shape: shapeOf(16), ...options });
  const put = (to: PagedCache, page: number, slot: number): void => {
    const pair = to.getIn(page, slot);
    to.setIn(page, slot, change({ ...pair, score: Math.fround(scoreOf(pair)) }));
  };
  for (let g = 0; g < G; g += 1) {
    for (const lane of made.lanes.keys()) {
      const at = made.cache.row(lane, g);
      for (let slot = 0; slot < made.cache.count(lane, g); slot += 1)
        put(
          made.cache,
          made.cache.tables[at + 2 + Math.floor(slot / PAGE_SLOTS)]!,
          slot % PAGE_SLOTS,
        );
    }
    for (let r = 0; r < made.rows; r += 1) put(made.chunk, ...chunkSlot(g, made.chunkPages, r));
  }
  return made;
}

const unscored = ({ position }: Pair): number => position;

/** Runs the kernel; expects scores of `due` (lane, kv head) to be the twin's, and nothing else to change. */
async function expectTwin(
  before: Scene,
  target: Target,
  due: (lane: number, g: number) => boolean = () => true,
  groups = LAG_GROUPS,
): Promise<Scene> {
  const kind = "rows" in target ? "step" : "block";
  const kernel = await createLagScores(
    gpu,
    before.shape,
    LAG,
    kind === "step" ? { kind, scoring: SCORING } : { kind },
  );
  const runs = [{ kernel, workgroups: [groups, G] as const }];
  const after = await runScene(gpu, before, target, runs);
  const anew = "anew" in target && target.anew === true;
  const lanes =
    "rows" in target
      ? target.rows.map(({ lane, position }) => ({ lane, last: position - 1 }))
      : [target];
  const expected = lanes.flatMap(({ lane, last }) =>
    [0, 1].flatMap((g) => {
      if (!due(lane, g)) return [];
      const { sinks, every: lag = 1 } = before.lanes[lane]!;
      return [
        { lane, g, scores: lagScores(candidatesOf(before, lane, g), { sinks, lag, last, anew }) },
      ];
    }),
  );
  // By the largest score, which may be a position; places in a chunk differ by 1 / lag.
  expectScores(before, after, expected, 1e-6);
  return after;
}

/** A block of `rows` on lane 0, whose cache holds all tokens before it. */
const wholeScene = (lane: Lane, count: number, rows: number, shape = shapeOf(16)): Scene =>
  scene(
    {
      shape,
      lanes: [lane],
      fill: () => ({ count, capacity: Math.max(1, count) }),
      rows,
      start: count,
      step: 1,
      seed: count + rows,
    },
    unscored,
  );

describe("lag_scores: a text that is whole", () => {
  test.each([
    // Less than two chunks, just two, and what is left over; a block alone, a cache alone, both.
    [16, 4, 0, 35],
    [16, 4, 0, 36],
    [16, 4, 100, 51],
    [16, 0, 83, 0],
    [5, 3, 61, 70],
    [1, 4, 9, 8],
    [2, 0, 0, 1],
    [128, 4, 130, 300],
    [100, 200, 150, 20],
    [127, 7, 0, 700],
  ])("chunks of %i after %i sinks: %i cached, %i rows", async (lag, sinks, count, rows) => {
    const before = wholeScene(laneOf(lag, sinks), count, rows);
    await expectTwin(before, { lane: 0, last: count + rows - 1, all: true });
  });

  test.each([
    [8, "f16"],
    [64, "f16"],
    [80, "q8"],
    [128, "f32"],
    [256, "q8"],
    [512, "f16"],
  ] as const)("D %i, %s", async (D, storage) => {
    const before = wholeScene(laneOf(20, 4), 50, 60, shapeOf(D, storage));
    await expectTwin(before, { lane: 0, last: 109 });
  });

  test("whatever the workgroups, one or more than chunks", async () => {
    for (const groups of [1, 3, 20])
      await expectTwin(
        wholeScene(laneOf(16, 4), 30, 130),
        { lane: 0, last: 159 },
        undefined,
        groups,
      );
  });

  test("channels that are the same all over the next chunk count as 0; equal pairs by position", async () => {
    const lane = laneOf(8, 2);
    const options = { lanes: [lane], fill: () => ({ count: 30 }), rows: 20, start: 30, step: 1 };
    const dead = scene(options, unscored, (pair) => {
      pair.key[3] = pair.position < 10 ? pair.position : 0.25;
      pair.value.fill(1);
      return pair;
    });
    await expectTwin(dead, { lane: 0, last: 49 });
    const same = scene(options, unscored, (pair) => {
      pair.key.fill(0.5);
      pair.value.fill(-2);
      return pair;
    });
    const after = await expectTwin(same, { lane: 0, last: 49 });
    const byPosition = new Map(candidatesOf(after, 0, 0).map((p) => [p.position, p.score]));
    expect([2, 3, 9, 10].map((p) => byPosition.get(p))).toEqual([0, 1 / 8, 7 / 8, 0]);
  });
});

describe("lag_scores: after evictions", () => {
  const lane = laneOf(16, 4);
  // Cached positions 0, 3, 6 ... 237, rows of a block from 240 on.
  const options = {
    lanes: [lane],
    fill: (_: number, g: number) => ({ count: 80 - g, capacity: 40 }),
    rows: 90,
    start: 240,
    seed: 3,
  };
  const target = { lane: 0, last: 329 };

  test("chunks with a pair that has no score are ranked, by what is left; other scores stay", async () => {
    const rank = ({ position }: Pair): number => (position < 150 ? (position % 7) / 16 : position);
    const after = await expectTwin(scene(options, rank), target);
    const old = candidatesOf(after, 0, 0).filter(({ position }) => position < 148);
    expect(old.every((pair) => pair.score === rank(pair))).toBe(true);
  });

  test("scores of another policy are replaced, all of them", async () => {
    await expectTwin(
      scene(options, ({ position }) => -position),
      { ...target, all: true, anew: true },
    );
  });

  test("a next chunk of which nothing is left tells nothing", async () => {
    const gap = { ...options, step: 40, fill: () => ({ count: 6, capacity: 6 }) };
    await expectTwin(scene(gap, unscored), target);
  });
});

describe("lag_scores: which heads are scored", () => {
  test("of a block: those that evict before the next chunk is complete", async () => {
    const block = (capacity: number) =>
      scene(
        {
          lanes: [laneOf(10, 4)],
          fill: (_, g) => ({ count: 40, capacity: capacity + g }),
          rows: 20,
          start: 40,
          step: 1,
        },
        unscored,
      );
    await expectTwin(block(69), { lane: 0, last: 59 }, (_, g) => g === 0);
    await expectTwin(block(70), { lane: 0, last: 59 }, () => false);
    await expectTwin(block(70), { lane: 0, last: 59, all: true });
  });

  test("of a step: lanes of this scoring whose chunk has just become complete", async () => {
    const lanes = [
      laneOf(16, 4),
      { ...laneOf(16, 4), scoring: SCORING + 1 },
      laneOf(16, 3),
      laneOf(5, 5),
      { ...laneOf(16, 4), scoring: 0 },
    ];
    const before = scene(
      {
        lanes,
        fill: (_, g) => ({ count: 100, capacity: 104 + g }),
        step: 1,
      },
      unscored,
    );
    const rows = [4, 2, 0, 3, 1].map((lane) => ({ lane, position: 100 }));
    await expectTwin(before, { rows }, (lane, g) => lane === 0 || (lane === 3 && g === 0));
    const other = rows.map(({ lane }) => ({ lane, position: 101 }));
    await expectTwin(before, { rows: other }, () => false);
  });
});
