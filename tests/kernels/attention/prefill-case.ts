import type { GpuContext } from "../../../src/gpu/context.ts";
import {
  createAttentionPrefill,
  prefillWorkgroups,
} from "../../../src/kernels/attention/attention.ts";
import type {
  AttentionVariant,
  PrefillOver,
} from "../../../src/kernels/attention/attention-tiling.ts";
import { type CacheShape, layerShapeWords } from "../../../src/kernels/pages/cache-shape.ts";
import { chunkFormat } from "../../../src/kernels/pages/page-format.ts";
import { seededRandom } from "../../../src/random.ts";
import { attendChunk } from "../../reference/twins/attention/attention-prefill.ts";
import { chunkSlot } from "../../reference/twins/pages/kv-write.ts";
import {
  normals,
  PagedCache,
  randomPairs,
  rowWords,
} from "../../reference/twins/pages/paged-cache.ts";
import { readF32, upload } from "../gpu.ts";

export interface PrefillCase {
  /** Default: the adapter's. */
  variant?: AttentionVariant | undefined;
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

/** Runs a chunk of a prompt against the twin; returns the largest difference. */
export async function prefillDifference(
  gpu: GpuContext,
  shape: CacheShape,
  test: PrefillCase,
): Promise<number> {
  const { cached: tokens, rows, lane = 0, keyScale = 1, window = 0, dropped = 0 } = test;
  const { over = "any", variant } = test;
  const cached = window > 0 ? Math.min(tokens, window) : tokens;
  const first = window > 0 ? tokens : 1000;
  const { heads, kvHeads, headDim } = shape;
  const random = seededRandom(cached + rows);
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
  const buffers = {
    shape: gpu.ledger.uniform("shape", layerShapeWords(shape, cache.layer, maxPages, chunkPages)),
    batch: gpu.ledger.uniform("batch", new Uint32Array([rows, 0, 1, heads])),
    rows: upload(
      gpu,
      rowWords(Array.from({ length: rows }, (_, r) => ({ position: first + r, lane }))),
    ),
    qkv: upload(gpu, qkv),
    pages: upload(gpu, cache.pages),
    chunk: upload(gpu, chunk.pages),
    tables: upload(gpu, cache.tables),
    out,
    lse,
  };
  gpu.run([kernel.dispatch(buffers, prefillWorkgroups(gpu, shape, rows, variant))]);
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
