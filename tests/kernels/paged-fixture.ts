import type { GpuContext } from "../../src/gpu/context.ts";
import { rowWords } from "../../src/kernels/pages/cache-shape.ts";
import { chunkFormat, pageWords } from "../../src/kernels/pages/page-format.ts";
import { EVICTION, LANE, LAYER_SHAPE } from "../../src/kernels/records.ts";
import { seededRandom } from "../../src/random.ts";
import type { Pair } from "../reference/evict-select.ts";
import { positionWord, type SlabFormat, scoreWord, writePair } from "../reference/paged-slab.ts";
import { upload } from "./gpu.ts";

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

const bits = new Uint32Array(1);
const asBits = (value: number): number => {
  new Float32Array(bits.buffer)[0] = value;
  return bits[0]!;
};

/** Random keys and values, pages in random order, other lanes and layers filled with other things. */
export function cacheFixture(gpu: GpuContext, cache: CacheCase, seed = 1): CacheFixture {
  const random = seededRandom(seed);
  const word = () => Math.floor(random() * 2 ** 32);
  const { layers, layer, lanes, lane, heads, pageSlots: P } = cache;
  const G = heads.length;
  const need = (h: HeadCase) => Math.ceil(Math.max(h.slots.length, h.capacity) / P);
  const maxPages = Math.max(1, ...heads.map(need)) + 1;
  const total = heads.reduce((sum, h) => sum + need(h), 0) + 2;
  const order = Array.from({ length: total }, (_, i) => i);
  for (let i = total - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  const pages = Uint32Array.from({ length: total * pageWords(cache) }, word);
  const row = rowWords(cache, maxPages);
  const tables = Uint32Array.from({ length: lanes * layers * G * row }, word);
  const tableRow = (g: number) => ((lane * layers + layer) * G + g) * row;
  const chunkPages = Math.max(1, ...heads.map((h) => Math.ceil(h.rows.length / P)));
  const chunkCase = { ...cache, ...chunkFormat(cache) };
  const chunk = Uint32Array.from({ length: G * chunkPages * pageWords(chunkCase) }, word);
  const vector = (scale: number) =>
    Float32Array.from({ length: cache.headDim }, () => scale * (random() - 0.5));
  let next = 0;
  heads.forEach((head, g) => {
    const row = tableRow(g);
    tables.set([head.slots.length, head.capacity], row);
    for (let p = 0; p < need(head); p++) tables[row + 2 + p] = order[next++]!;
    head.slots.forEach((pair, s) => {
      const page = tables[row + 2 + Math.floor(s / P)]!;
      pages[positionWord(cache, page, s)] = pair.position;
      pages[scoreWord(cache, page, s)] = asBits(pair.score);
    });
    head.rows.forEach((pair, r) => {
      // Of many magnitudes, some vectors all zero.
      const vectors = { key: vector(10 ** ((r % 9) - 4)), value: vector(r % 7) };
      const place = { words: chunk, page: g * chunkPages + Math.floor(r / P), slot: r };
      writePair(chunkCase, place, { ...pair, ...vectors });
    });
  });
  const laneWords = Uint32Array.from({ length: lanes * LANE.words }, word);
  laneWords.set([cache.window, cache.sinks], lane * LANE.words + LANE.at("window"));
  const rows = Math.max(0, ...heads.map((h) => h.rows.length));
  const ledger = gpu.ledger;
  return {
    shape: ledger.uniform(
      "shape",
      LAYER_SHAPE.pack({
        layer,
        layers,
        kv_heads: G,
        max_pages: maxPages,
        heads: G,
        chunk_pages: chunkPages,
        row_words: row,
      }),
    ),
    eviction: ledger.uniform(
      "eviction",
      EVICTION.pack({ lane, rows, last: cache.last, all: 0, queries: 0, first_query: 0, anew: 0 }),
    ),
    pages: upload(gpu, pages),
    chunk: upload(gpu, chunk),
    tables: upload(gpu, tables),
    lanes: upload(gpu, laneWords),
    host: { pages, chunk, tables, chunkPages },
    tableRow,
    pageTable: (g) => [...tables.subarray(tableRow(g) + 2, tableRow(g) + 2 + maxPages)],
  };
}

/** Frees what `cacheFixture` made. */
export function destroyFixture(gpu: GpuContext, f: CacheFixture): void {
  for (const buffer of [f.shape, f.eviction, f.pages, f.chunk, f.tables, f.lanes])
    gpu.ledger.destroy(buffer);
}
