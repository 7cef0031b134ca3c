/** What a sequence has on the GPU, to memory and back. */
import { type CacheShape, pageWords } from "../kernels/pages/cache-shape.ts";
import { remainderBytes } from "../kernels/pages/page-format.ts";
import { clearUnused } from "./check-pages.ts";
import type { KvPool } from "./kv-pool.ts";
import type { KvSequence } from "./sequence/kv-sequence.ts";

/**
 * The pages of a layer that hold pairs, kv head by kv head: u32 [pages, words]. Slots that hold none are zero, whatever
 * other chats have left in them. The copy is submitted before anything is awaited.
 */
export async function readPages(
  pool: KvPool,
  sequence: KvSequence,
  layer: number,
): Promise<Uint32Array<ArrayBuffer>> {
  const { pageBytes, shape } = pool;
  const counts = sequence.books.counts[layer]!;
  const pages = sequence.pages.stored(layer);
  const parts = pages.map((page, i) => ({ at: page * pageBytes, to: i * pageBytes }));
  const words = await readParts(pool, pool.slabs[layer]!, parts, pageBytes);
  clearUnused(shape, counts, words);
  return words;
}

/** Writes what `readPages` gave to the pages of a sequence that was restored. */
export function writePages(
  pool: KvPool,
  sequence: KvSequence,
  layer: number,
  words: Uint32Array,
): void {
  const each = pageWords(pool.shape);
  for (const [i, page] of sequence.pages.stored(layer).entries())
    pool.gpu.write(
      pool.slabs[layer]!,
      words.subarray(i * each, (i + 1) * each),
      page * pool.pageBytes,
    );
}

/** What the heads have dropped, in sum: f32 [L, G, 2 + 2 D], as words. */
export function readRemainders(
  pool: KvPool,
  { lane }: KvSequence,
): Promise<Uint32Array<ArrayBuffer>> {
  const bytes = remainderBytes(pool.shape);
  const parts = heads(pool.shape).map(([layer, g], i) => ({
    at: remainderWord(pool, lane, layer, g) * 4,
    to: i * bytes,
  }));
  return readParts(pool, pool.tables, parts, bytes);
}

export function writeRemainders(pool: KvPool, { lane }: KvSequence, words: Uint32Array): void {
  const each = remainderBytes(pool.shape) / 4;
  for (const [i, [layer, g]] of heads(pool.shape).entries())
    pool.gpu.write(
      pool.tables,
      words.subarray(i * each, (i + 1) * each),
      remainderWord(pool, lane, layer, g) * 4,
    );
}

const heads = ({ layers, kvHeads }: CacheShape): [layer: number, kvHead: number][] =>
  Array.from({ length: layers * kvHeads }, (_, i) => [Math.floor(i / kvHeads), i % kvHeads]);

const remainderWord = (pool: KvPool, lane: number, layer: number, kvHead: number): number =>
  pool.rowWord(lane, layer, kvHead) + 2 + pool.maxPages;

/** Parts of a buffer, each of `bytes` from `at` on, put at `to`. */
async function readParts(
  { gpu }: KvPool,
  buffer: GPUBuffer,
  parts: readonly { readonly at: number; readonly to: number }[],
  bytes: number,
): Promise<Uint32Array<ArrayBuffer>> {
  const { MAP_READ, COPY_DST } = GPUBufferUsage;
  const staging = gpu.ledger.create("staging", "save", parts.length * bytes, MAP_READ | COPY_DST);
  try {
    const encoder = gpu.device.createCommandEncoder();
    for (const { at, to } of parts) encoder.copyBufferToBuffer(buffer, at, staging, to, bytes);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.map(staging);
    return new Uint32Array(staging.getMappedRange().slice(0, parts.length * bytes));
  } finally {
    gpu.ledger.destroy(staging);
  }
}
