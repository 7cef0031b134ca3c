import type { GpuContext } from "../../../src/gpu/context.ts";
import { layerShapeWords } from "../../../src/kernels/pages/cache-shape.ts";
import { chunkFormat } from "../../../src/kernels/pages/page-format.ts";
import { EVICTION, LANE } from "../../../src/kernels/records.ts";
import { seededRandom } from "../../../src/random.ts";
import type { Pair } from "../../reference/twins/pages/evict-select.ts";
import { PagedCache } from "../../reference/twins/pages/paged-cache.ts";
import type { SlabFormat } from "../../reference/twins/pages/paged-slab.ts";
import { upload } from "../gpu.ts";

/** One kv head of the lane and layer under test. */
export interface HeadCase {
  slots: readonly Pair[];
  rows: readonly Pair[];
  capacity: number;
}

export interface CacheCase extends SlabFormat {
  layers: number;
  layer: number;
  lanes: number;
  lane: number;
  window: number;
  sinks: number;
  system?: number;
  last: number;
  heads: readonly HeadCase[];
}

/** A layer's slab, chunk scratch and page tables on the GPU, with what was uploaded. */
export interface CacheFixture {
  shape: GPUBuffer;
  eviction: GPUBuffer;
  pages: GPUBuffer;
  chunk: GPUBuffer;
  tables: GPUBuffer;
  lanes: GPUBuffer;
  host: { pages: Uint32Array; chunk: Uint32Array; tables: Uint32Array; chunkPages: number };
  /** Index of the [count, capacity, pages...] of a kv head of the lane and layer under test. */
  tableRow(kvHead: number): number;
  /** Entries of that row's page table. */
  pageTable(kvHead: number): number[];
}

/** Random keys and values, pages in random order, other lanes and layers filled with other things. */
export function cacheFixture(gpu: GpuContext, cache: CacheCase, seed = 1): CacheFixture {
  const random = seededRandom(seed);
  const word = () => Math.floor(random() * 2 ** 32);
  const { headDim, layers, layer, lanes, lane, heads, pageSlots } = cache;
  const G = heads.length;
  const room = (h: HeadCase) => Math.max(h.slots.length, h.capacity);
  const pagesOf = (slots: number) => Math.ceil(slots / pageSlots);
  const shape = { layers, heads: G, kvHeads: G, headDim, storage: cache.storage ?? "f16" };
  const maxPages = Math.max(...heads.map((h) => pagesOf(room(h)))) + 1;
  const pageCount = heads.reduce((sum, h) => sum + pagesOf(room(h)), 2);
  const held = new PagedCache(shape, { layer, lanes, maxPages, pageCount, pageSlots, seed });
  const chunkPages = Math.max(1, ...heads.map((h) => pagesOf(h.rows.length)));
  const chunk = new PagedCache(chunkFormat(shape), { pageCount: G * chunkPages, pageSlots });
  for (const words of [held.pages, held.tables, chunk.pages]) words.set(words.map(word));
  const vector = (scale: number) =>
    Float32Array.from({ length: headDim }, () => scale * (random() - 0.5));
  // Of many magnitudes, some vectors all zero.
  const pair = (place: Pair, i: number) => ({
    ...place,
    key: vector(10 ** ((i % 9) - 4)),
    value: vector(i % 7),
  });
  heads.forEach((head, g) => {
    held.fill(lane, g, room(head), head.slots.map(pair));
    held.tables[held.row(lane, g) + 1] = head.capacity;
    head.rows.forEach((row, r) => {
      chunk.setIn(g * chunkPages + Math.floor(r / pageSlots), r, pair(row, r));
    });
  });
  const laneWords = Uint32Array.from({ length: lanes * LANE.words }, word);
  laneWords.set([cache.window, cache.sinks], lane * LANE.words + LANE.at("window"));
  laneWords[lane * LANE.words + LANE.at("system")] = cache.system ?? 0;
  const rows = Math.max(0, ...heads.map((h) => h.rows.length));
  const { ledger } = gpu;
  const tableRow = (g: number) => held.row(lane, g);
  return {
    shape: ledger.uniform("shape", layerShapeWords(shape, layer, maxPages, chunkPages)),
    eviction: ledger.uniform(
      "eviction",
      EVICTION.pack({ lane, rows, last: cache.last, all: 0, queries: 0, first_query: 0, anew: 0 }),
    ),
    pages: upload(gpu, held.pages),
    chunk: upload(gpu, chunk.pages),
    tables: upload(gpu, held.tables),
    lanes: upload(gpu, laneWords),
    host: { pages: held.pages, chunk: chunk.pages, tables: held.tables, chunkPages },
    tableRow,
    pageTable: (g) => [...held.tables.subarray(tableRow(g) + 2, tableRow(g) + 2 + maxPages)],
  };
}

/** Frees what `cacheFixture` made. */
export function destroyFixture(gpu: GpuContext, f: CacheFixture): void {
  for (const buffer of [f.shape, f.eviction, f.pages, f.chunk, f.tables, f.lanes])
    gpu.ledger.destroy(buffer);
}
