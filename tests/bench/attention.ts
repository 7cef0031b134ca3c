/**
 * Milliseconds of the attention kernels on the adapter at hand, H 9, G 3, D 64:
 *   node -e 'import("vite").then((v) => v.runnerImport("./tests/bench/attention.ts", { configFile: false }))'
 */

import type { Dispatch } from "../../src/gpu/kernel.ts";
import {
  createAttentionCombine,
  createAttentionDecode,
  createAttentionPrefill,
  prefillWorkgroups,
} from "../../src/kernels/attention/attention.ts";
import {
  type AttentionVariant,
  decodeSplits,
  MAX_SPLITS,
} from "../../src/kernels/attention/attention-tiling.ts";
import { type CacheShape, layerShapeWords } from "../../src/kernels/pages/cache-shape.ts";
import { seededRandom } from "../../src/random.ts";
import { testGpu, upload } from "../kernels/gpu.ts";
import {
  normals,
  PagedCache,
  randomPairs,
  rowWords,
} from "../reference/twins/pages/paged-cache.ts";

const gpu = await testGpu();
const shape: CacheShape = { layers: 1, heads: 9, kvHeads: 3, headDim: 64 };
const width = (shape.heads + 2 * shape.kvHeads) * shape.headDim;
const random = seededRandom(1);

interface Time {
  /** Median milliseconds a repetition takes. */
  wall: number;
  /** Milliseconds of processor time, all threads: on a software adapter steadier than `wall`. */
  cpu: number;
}

/** Medians over `runs` submits of `repeat` repetitions each. */
async function median(dispatches: Dispatch[], repeat: number, runs = 9): Promise<Time> {
  const walls: number[] = [];
  const cpus: number[] = [];
  for (let i = 0; i < runs + 1; i += 1) {
    const used = process.cpuUsage();
    const start = performance.now();
    gpu.run(Array.from({ length: repeat }, () => dispatches).flat());
    await gpu.device.queue.onSubmittedWorkDone();
    walls.push((performance.now() - start) / repeat);
    const { user, system } = process.cpuUsage(used);
    cpus.push((user + system) / 1000 / repeat);
  }
  const middle = (times: number[]) => times.slice(1).sort((a, b) => a - b)[runs >> 1]!;
  return { wall: middle(walls), cpu: middle(cpus) };
}

function cacheOf(slots: number) {
  const maxPages = Math.ceil(slots / 32);
  const cache = new PagedCache(shape, { maxPages, pageCount: 3 * maxPages });
  for (let g = 0; g < 3; g += 1) cache.fill(0, g, slots, randomPairs(random, 64, slots));
  return { pages: upload(gpu, cache.pages), tables: upload(gpu, cache.tables), maxPages };
}

const report = (name: string, { wall, cpu }: Time, bytes: number, flops: number) =>
  console.log(
    `${name}: ${wall.toFixed(3)} ms, ${(bytes / wall / 1e6).toFixed(2)} GB/s, ` +
      `${(flops / wall / 1e6).toFixed(2)} GFLOPS; processor ${cpu.toFixed(3)} ms`,
  );

const VARIANTS = (process.env.VARIANTS?.split(",") ?? ["serial", "tiles"]) as AttentionVariant[];

for (const [variant, slots] of VARIANTS.flatMap((v) => [[v, 512] as const, [v, 8192] as const])) {
  const cache = cacheOf(slots);
  const splits = decodeSplits(slots);
  const decode = await createAttentionDecode(gpu, shape, variant);
  const combine = await createAttentionCombine(gpu, shape, variant);
  const partials = gpu.ledger.storage("activations", "partials", 9 * MAX_SPLITS * 66 * 4);
  const out = gpu.ledger.storage("activations", "out", 9 * 64 * 4);
  const layer = gpu.ledger.uniform("shape", layerShapeWords(shape, 0, cache.maxPages, 0));
  const batch = gpu.ledger.uniform("batch", new Uint32Array([1, 0, splits, 9]));
  const rows = upload(gpu, rowWords([{ position: 9000, lane: 0 }]));
  const qkv = upload(gpu, normals(random, width));
  const time = await median(
    [
      decode.dispatch(
        { shape: layer, rows, qkv, pages: cache.pages, tables: cache.tables, partials },
        [splits, 3, 1],
      ),
      combine.dispatch({ batch, partials, out }, [9, 1]),
    ],
    slots > 1000 ? 4 : 30,
  );
  report(
    `decode ${variant}, C ${slots}, ${splits} splits`,
    time,
    slots * 3 * 256,
    slots * 9 * 64 * 4,
  );
}

for (const variant of VARIANTS) {
  const [rows, slots] = [128, 512];
  const cache = cacheOf(slots);
  const chunk = new PagedCache(shape, { pageCount: 12 });
  for (let page = 0; page < 12; page += 1) {
    randomPairs(random, 64, 32).forEach((pair, slot) => {
      chunk.setIn(page, slot, pair);
    });
  }
  const kernel = await createAttentionPrefill(gpu, shape, variant);
  const buffers = {
    shape: gpu.ledger.uniform("shape", layerShapeWords(shape, 0, cache.maxPages, 4)),
    batch: gpu.ledger.uniform("batch", new Uint32Array([rows, 0, 1, 9])),
    rows: upload(
      gpu,
      rowWords(Array.from({ length: rows }, (_, r) => ({ position: 600 + r, lane: 0 }))),
    ),
    qkv: upload(gpu, normals(random, rows * width)),
    pages: cache.pages,
    chunk: upload(gpu, chunk.pages),
    tables: cache.tables,
    out: gpu.ledger.storage("activations", "out", rows * 9 * 64 * 4),
    lse: gpu.ledger.storage("activations", "lse", rows * 9 * 4),
  };
  const time = await median(
    [kernel.dispatch(buffers, prefillWorkgroups(gpu, shape, rows, variant))],
    2,
    5,
  );
  const keys = slots + (rows + 1) / 2;
  report(
    `prefill ${variant}, M ${rows}, C ${slots}`,
    time,
    slots * 3 * 256,
    rows * keys * 9 * 64 * 4,
  );
}
gpu.destroy();
process.exit(0);
