import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { type Calibration, readCalibration } from "../../../src/cache/filters-file.ts";
import { KvPool } from "../../../src/cache/kv-pool.ts";
import { writePages, writeRemainders } from "../../../src/cache/saved-pages.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import type { SequenceBooks } from "../../../src/cache/sequence/sequence-books.ts";
import { writeFilters } from "../../../src/cache/write-filters.ts";
import type { Place } from "../../../src/engine/chat/place.ts";
import { loadChat } from "../../../src/engine/chat/saved/load-chat.ts";
import { saveChat } from "../../../src/engine/chat/saved/save-chat.ts";
import type { EngineCore } from "../../../src/engine/core.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { pagesFor, pageWords } from "../../../src/kernels/pages/cache-shape.ts";
import { type KvStorage, pageParts } from "../../../src/kernels/pages/page-format.ts";
import { seededRandom } from "../../../src/random.ts";
import { fakeGpu } from "../cache/fake-gpu.ts";

/** A layer with a window of 40 tokens, and two that a budget governs. */
export const MODEL = { layers: 3, heads: 2, kvHeads: 2, headDim: 8, windows: [40, 0, 0] };
export const MODEL_NAME = { name: "tiny", sha256: "ab" };
export const SEEN = 100;
export const VOCABULARY = 50;
export const settings = resolveCacheSettings({ budget: 48, policy: "q-filters" });

export const filters = (seed: number): Calibration => {
  const random = seededRandom(seed);
  const values = Float32Array.from({ length: 3 * 2 * 8 }, () => random() - 0.5);
  return readCalibration(writeFilters({ values, layers: 3, kvHeads: 2, headDim: 8 }));
};

/** As much of an engine as saving and loading look at. */
export function fakeCore(
  changes: { storage?: KvStorage; calibration?: Calibration | undefined } = {},
) {
  const { storage = "f16" } = changes;
  const calibration = "calibration" in changes ? changes.calibration : filters(1);
  const pool = new KvPool(
    fakeGpu(),
    { ...MODEL, storage },
    {
      blockRows: 128,
      memoryLimit: Number.POSITIVE_INFINITY,
    },
  );
  const core = {
    state: { pool, gpu: pool.gpu },
    config: { ...MODEL, hidden: 16, vocabulary: VOCABULARY, contextLength: 4096, states: [] },
    storage,
    model: { calibration, memoryLimit: Number.POSITIVE_INFINITY },
    lacks: () => (calibration ? [] : ["filters"]),
  };
  return { core: core as unknown as EngineCore, pool };
}

/** A chat of 100 tokens under a budget of 48, its pages full of random numbers that are such as kernels write. */
export async function fakeChat(storage: KvStorage = "f16", seed = 1) {
  const random = seededRandom(seed);
  const { core, pool } = fakeCore({ storage });
  const counts = [
    [40, 40],
    [48, 48],
    [48, 30],
  ];
  const books: SequenceBooks = {
    settings,
    divided: false,
    folds: 0,
    system: 0,
    seen: SEEN,
    evicted: 4 * SEEN - 48 * 3 - 30,
    counts,
  };
  const sequence = KvSequence.restore(pool, books);
  const parts = pageParts({ ...MODEL, storage });
  for (const [layer, heads] of counts.entries()) {
    const pages = heads.map((count) => {
      const words = Uint32Array.from({ length: pagesFor(count) * pageWords(pool.shape) }, () =>
        // Also in slots that hold no pair: what another chat has left there must not get out.
        Math.floor(random() * 2 ** 32),
      );
      // Neither infinite nor NaN, in any storage.
      words.forEach((word, i) => {
        words[i] = word & 0x3bff3bff;
      });
      const positions = layer === 0 ? lastPositions(count) : somePositions(count, random);
      for (const [slot, position] of positions.entries())
        words[Math.floor(slot / 32) * pageWords(pool.shape) + parts.positions + (slot % 32)] =
          position;
      return [...words];
    });
    writePages(pool, sequence, layer, Uint32Array.from(pages.flat()));
  }
  const sums = new Float32Array(3 * 2 * 18).fill(0.5);
  writeRemainders(pool, sequence, new Uint32Array(sums.buffer));
  const row = new Uint32Array(new Float32Array(16).fill(0.25).buffer);
  const seen = Array.from({ length: SEEN }, (_, i) => i % VOCABULARY);
  const place = { live: sequence, seen, readRow: async () => row } as unknown as Place;
  const asked = { budget: 48 };
  const messages = [{ role: "user" as const, content: "hi" }];
  const file = await saveChat(core, place, { model: MODEL_NAME, asked, messages });
  return { file: new Uint8Array(await file.arrayBuffer()), pool, sequence, seen, row };
}

/** The positions of a ring of 40 slots, slot by slot. */
const lastPositions = (count: number): number[] =>
  Array.from({ length: count }, (_, slot) => {
    const turn = SEEN - (SEEN % count);
    return turn + slot < SEEN ? turn + slot : turn - count + slot;
  });

function somePositions(count: number, random: () => number): number[] {
  const all = Array.from({ length: SEEN }, (_, i) => i);
  return Array.from({ length: count }, () => all.splice(Math.floor(random() * all.length), 1)[0]!);
}

export const load = (core: EngineCore, file: Uint8Array) =>
  loadChat(core, new MemorySource(file, "chat.winnow"), MODEL_NAME);

type Header = Record<string, { shape?: number[]; data_offsets?: number[] }> & {
  __metadata__: Record<string, string>;
};

/** The file with another header. */
export function withHeader(file: Uint8Array, change: (header: Header) => void): Uint8Array {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Header;
  change(header);
  const json = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + file.length - 8 - length);
  new DataView(out.buffer).setBigUint64(0, BigInt(json.length), true);
  out.set(json, 8);
  out.set(file.subarray(8 + length), 8 + json.length);
  return out;
}

/** The file with other words of a tensor. */
export function withWords(file: Uint8Array, name: string, change: (words: Uint32Array) => void) {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Header;
  const [begin, end] = header[name]!.data_offsets as [number, number];
  const out = file.slice();
  const words = new Uint32Array(out.slice(8 + length + begin, 8 + length + end).buffer);
  change(words);
  out.set(new Uint8Array(words.buffer), 8 + length + begin);
  return out;
}

export const metadata = (file: Uint8Array, name: string, value: unknown): Uint8Array =>
  withHeader(file, ({ __metadata__ }) => {
    __metadata__[name] = typeof value === "string" ? value : JSON.stringify(value);
  });
export const sequence = (file: Uint8Array, change: object): Uint8Array =>
  withHeader(file, ({ __metadata__ }) => {
    __metadata__.sequence = JSON.stringify({ ...JSON.parse(__metadata__.sequence!), ...change });
  });
