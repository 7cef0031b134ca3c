import { expect } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import type { Kernel } from "../../../src/gpu/kernel.ts";
import { type CacheShape, layerShapeWords } from "../../../src/kernels/pages/cache-shape.ts";
import { chunkFormat, PAGE_SLOTS } from "../../../src/kernels/pages/page-format.ts";
import { EVICTION } from "../../../src/kernels/records.ts";
import { seededRandom } from "../../../src/random.ts";
import { chunkSlot } from "../../reference/twins/pages/kv-write.ts";
import {
  type Lane,
  laneWords,
  PagedCache,
  type Pair,
  randomPairs,
  rowWords,
} from "../../reference/twins/pages/paged-cache.ts";
import { scoreWord } from "../../reference/twins/pages/paged-slab.ts";
import { readU32, upload } from "../gpu.ts";

/** What one kv head of a lane holds. */
export interface HeadFill {
  count: number;
  /** Default: full. */
  capacity?: number;
}

export interface SceneOptions {
  shape: CacheShape;
  lanes: readonly Lane[];
  fill: (lane: number, g: number) => HeadFill;
  /** Of the prompt block, from this position on. */
  rows?: number;
  start?: number;
  /** From one cached position to the next. */
  step?: number;
  seed?: number;
}

/** Caches of several lanes and a prompt block, which kernels score. */
export interface Scene extends Required<SceneOptions> {
  cache: PagedCache;
  /** Pages of the block's scratch. */
  chunk: PagedCache;
  chunkPages: number;
}

const LAYER = 1;

/** Keys with something in common; cached positions in no order and with gaps, rows behind them all. */
export function makeScene({
  rows = 0,
  start = 5000,
  step = 3,
  seed = 1,
  ...options
}: SceneOptions): Scene {
  const { shape, lanes, fill } = options;
  const { headDim, kvHeads } = shape;
  const random = seededRandom(seed);
  const heads = lanes.flatMap((_, lane) =>
    Array.from({ length: kvHeads }, (_, g) => ({ lane, g, ...fill(lane, g) })),
  );
  const room = ({ count, capacity = count }: HeadFill) => Math.max(count, capacity);
  const maxPages = Math.max(1, ...heads.map((h) => Math.ceil(room(h) / PAGE_SLOTS)));
  const cache = new PagedCache(shape, {
    layer: LAYER,
    lanes: lanes.length,
    maxPages,
    pageCount: heads.reduce((sum, h) => sum + Math.ceil(room(h) / PAGE_SLOTS), 1),
    seed,
  });
  const pairs = (count: number, first: number, gap: number): Pair[] =>
    randomPairs(random, headDim, count, { first, step: gap }).map((pair) => ({
      ...pair,
      key: pair.key.map((x, d) => x + Math.cos(d)),
    }));
  for (const head of heads) {
    const own = pairs(head.count, head.lane % step, step);
    for (let i = own.length - 1; i > 0; i -= 1) {
      const j = Math.floor(random() * (i + 1));
      [own[i], own[j]] = [own[j]!, own[i]!];
    }
    cache.fill(head.lane, head.g, room(head), own);
    cache.tables[cache.row(head.lane, head.g) + 1] = head.capacity ?? head.count;
  }
  const chunkPages = Math.max(1, Math.ceil(rows / PAGE_SLOTS));
  const chunk = new PagedCache(chunkFormat(shape), { pageCount: kvHeads * chunkPages, seed });
  for (let g = 0; g < kvHeads; g += 1)
    pairs(rows, start, 1).forEach((pair, r) => {
      chunk.setIn(...chunkSlot(g, chunkPages, r), pair);
    });
  return { ...options, rows, start, step, seed, cache, chunk, chunkPages };
}

/** What a kv head's eviction chooses from, as it is stored: its slots, then the block's rows. */
export const candidatesOf = (
  { cache, chunk, chunkPages, rows }: Scene,
  lane: number,
  g: number,
) => [
  ...cache.pairs(lane, g),
  ...Array.from({ length: rows }, (_, r) => chunk.getIn(...chunkSlot(g, chunkPages, r))),
];

/** What kernels of a block, or of a step's rows, work on. */
export type SceneTarget =
  | {
      lane: number;
      last: number;
      all?: boolean;
      queries?: number;
      firstQuery?: number;
      anew?: boolean;
    }
  | { rows: readonly { lane: number; position: number }[] };

export interface SceneRun {
  kernel: Kernel;
  workgroups: readonly [number, number];
}

/** Runs kernels one after the other, with `own` buffers beside the scene's; the scene after. */
export async function runScene(
  gpu: GpuContext,
  scene: Scene,
  target: SceneTarget,
  kernels: readonly SceneRun[],
  own: Readonly<Record<string, GPUBuffer>> = {},
): Promise<Scene> {
  const { shape, cache, chunk, chunkPages, rows, lanes } = scene;
  const inBlock = "lane" in target;
  const buffers = {
    shape: gpu.ledger.uniform("shape", layerShapeWords(shape, LAYER, cache.maxPages, chunkPages)),
    [inBlock ? "eviction" : "rows"]: workBuffer(gpu, target, rows),
    tables: upload(gpu, cache.tables),
    lanes: upload(gpu, laneWords(lanes)),
    pages: upload(gpu, cache.pages),
    chunk: upload(gpu, chunk.pages),
  };
  const z = inBlock ? 1 : target.rows.length;
  gpu.run(
    kernels.map(({ kernel, workgroups: [x, y] }) =>
      kernel.dispatch({ ...buffers, ...own }, [x, y, z]),
    ),
  );
  const after = { ...scene, cache: cache.clone(), chunk: chunk.clone() };
  after.cache.pages.set(await readU32(gpu, buffers.pages));
  after.chunk.pages.set(await readU32(gpu, buffers.chunk));
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
  return after;
}

function workBuffer(gpu: GpuContext, target: SceneTarget, rows: number): GPUBuffer {
  if ("rows" in target) return upload(gpu, rowWords(target.rows));
  const { lane, last, all = false, queries = 0, firstQuery = 0, anew = false } = target;
  const words = EVICTION.pack({
    lane,
    rows,
    last,
    all: Number(all),
    queries,
    first_query: firstQuery,
    anew: Number(anew),
  });
  return gpu.ledger.uniform("eviction", words);
}

/**
 * Expects the scores of these heads to be near `scores`, by the largest of them, and every other word of
 * cache and block to be as it was.
 */
export function expectScores(
  before: Scene,
  after: Scene,
  expected: readonly { lane: number; g: number; scores: readonly number[] }[],
  tolerance: number,
): void {
  const wanted = { ...before, cache: before.cache.clone(), chunk: before.chunk.clone() };
  for (const { lane, g, scores } of expected) {
    const found = candidatesOf(after, lane, g);
    const count = before.cache.count(lane, g);
    const scale = scores.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-9);
    let worst = 0;
    scores.forEach((score, i) => {
      const error = Math.abs(found[i]!.score - score) / scale;
      worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : Math.max(worst, error);
      // Rounding is settled: from here on every word must be equal.
      const [from, to, page, slot] =
        i < count
          ? ([after.cache, wanted.cache, pageOf(before.cache, lane, g, i), i] as const)
          : ([after.chunk, wanted.chunk, ...chunkSlot(g, before.chunkPages, i - count)] as const);
      const format = { ...from.shape, pageSlots: PAGE_SLOTS };
      const word = scoreWord(format, page, slot);
      to.pages[word] = from.pages[word]!;
    });
    expect(worst, `lane ${lane}, kv head ${g}, ${scores.length} candidates`).toBeLessThan(
      tolerance,
    );
  }
  expect(after.cache.pages).toEqual(wanted.cache.pages);
  expect(after.chunk.pages).toEqual(wanted.chunk.pages);
}

const pageOf = (cache: PagedCache, lane: number, g: number, slot: number): number =>
  cache.tables[cache.row(lane, g) + 2 + Math.floor(slot / PAGE_SLOTS)]!;
