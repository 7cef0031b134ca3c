import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { type Calibration, readCalibration } from "../../../src/cache/filters-file.ts";
import { KvPool } from "../../../src/cache/kv-pool.ts";
import { readPages, writePages, writeRemainders } from "../../../src/cache/saved-pages.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import type { SequenceBooks } from "../../../src/cache/sequence/sequence-books.ts";
import { writeFilters } from "../../../src/cache/write-filters.ts";
import type { Place } from "../../../src/engine/chat/place.ts";
import { loadChat } from "../../../src/engine/chat/saved/load-chat.ts";
import { saveChat } from "../../../src/engine/chat/saved/save-chat.ts";
import type { EngineCore } from "../../../src/engine/core.ts";
import { WinnowError } from "../../../src/errors.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { pagesFor, pageWords } from "../../../src/kernels/pages/cache-shape.ts";
import { KV_STORAGES, type KvStorage, pageParts } from "../../../src/kernels/pages/page-format.ts";
import { seededRandom } from "../../../src/random.ts";
import { fakeGpu, setGpuGlobals } from "../cache/fake-gpu.ts";

/** A layer with a window of 40 tokens, and two that a budget governs. */
const MODEL = { layers: 3, heads: 2, kvHeads: 2, headDim: 8, windows: [40, 0, 0] };
const MODEL_NAME = { name: "tiny", sha256: "ab" };
const SEEN = 100;
const VOCABULARY = 50;
const settings = resolveCacheSettings({ budget: 48, policy: "q-filters" });

const filters = (seed: number): Calibration => {
  const random = seededRandom(seed);
  const values = Float32Array.from({ length: 3 * 2 * 8 }, () => random() - 0.5);
  return readCalibration(writeFilters({ values, layers: 3, kvHeads: 2, headDim: 8 }));
};

/** As much of an engine as saving and loading look at. */
function fakeCore(changes: { storage?: KvStorage; calibration?: Calibration | undefined } = {}) {
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
    state: { pool },
    config: { ...MODEL, hidden: 16, vocabulary: VOCABULARY, contextLength: 4096 },
    storage,
    model: { calibration },
    lacks: () => (calibration ? [] : ["filters"]),
    checkBudget: () => undefined,
  };
  return { core: core as unknown as EngineCore, pool };
}

/** A chat of 100 tokens under a budget of 48, its pages full of random numbers that are such as kernels write. */
async function fakeChat(storage: KvStorage = "f16", seed = 1) {
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

const load = (core: EngineCore, file: Uint8Array) =>
  loadChat(core, new MemorySource(file, "chat.winnow"), MODEL_NAME);

type Header = Record<string, { shape?: number[]; data_offsets?: number[] }> & {
  __metadata__: Record<string, string>;
};

/** The file with another header. */
function withHeader(file: Uint8Array, change: (header: Header) => void): Uint8Array {
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
function withWords(file: Uint8Array, name: string, change: (words: Uint32Array) => void) {
  const length = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + length))) as Header;
  const [begin, end] = header[name]!.data_offsets as [number, number];
  const out = file.slice();
  const words = new Uint32Array(out.slice(8 + length + begin, 8 + length + end).buffer);
  change(words);
  out.set(new Uint8Array(words.buffer), 8 + length + begin);
  return out;
}

const metadata = (file: Uint8Array, name: string, value: unknown): Uint8Array =>
  withHeader(file, ({ __metadata__ }) => {
    __metadata__[name] = typeof value === "string" ? value : JSON.stringify(value);
  });
const sequence = (file: Uint8Array, change: object): Uint8Array =>
  withHeader(file, ({ __metadata__ }) => {
    __metadata__.sequence = JSON.stringify({ ...JSON.parse(__metadata__.sequence!), ...change });
  });

const F32 = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const { positions, scores } = pageParts(MODEL);

/** What may be wrong with a file, and what is said about it. */
const WRONG: [string, (file: Uint8Array) => Uint8Array, RegExp][] = [
  ["nothing", () => new Uint8Array(0), /header length.*only 0 bytes/],
  ["a web page", () => new TextEncoder().encode("<!doctype html><title>app</title>"), /header len/],
  ["a file cut short", (file) => file.slice(0, -1), /ends after the file's/],
  ["a file with more behind it", (file) => Uint8Array.of(...file, 0), /belong to no tensor/],
  ["filters", () => writeFilters(filters(1).filters), /format.*no saved chat/],
  ["another version", (file) => metadata(file, "version", "1"), /version.*found 1.*reads 2/],
  ["another model", (file) => metadata(file, "model_sha256", "cd"), /model_sha256.*cd.*tiny, ab/],
  ["another shape", (file) => metadata(file, "shape", { layers: 4 }), /shape.layers.*found 4.* 3/],
  ["no shape", (file) => metadata(file, "shape", "[1"), /shape: is not JSON/],
  ["another storage", (file) => metadata(file, "storage", "q8"), /storage.*q8.*f16/],
  ["another calibration", (f) => metadata(f, "calibration_sha256", "12"), /calibrated otherwise/],
  ["no tokens", (file) => sequence(file, { seen: 0 }), /sequence.seen: found 0/],
  ["half a token", (file) => sequence(file, { seen: 1.5 }), /sequence.seen: found 1.5/],
  ["too many tokens", (file) => sequence(file, { seen: 1e9 }), /folds.*1000000000 tokens.*4096/],
  ["half a token of system", (file) => sequence(file, { system: 0.5 }), /system: found 0.5/],
  ["folds without need", (file) => sequence(file, { folds: 9 }), /positions folded 9 times/],
  ["fewer tokens than counts", (file) => sequence(file, { seen: 20 }), /counts.*40 pairs/],
  ["other tokens than the tensor", (file) => sequence(file, { seen: 101, evicted: 230 }), /tokens/],
  ["other evictions", (file) => sequence(file, { evicted: 0 }), /evicted: found 0.*tell 226/],
  ["heads divided", (file) => sequence(file, { divided: true }), /divided: found true/],
  [
    "unknown settings",
    (file) => sequence(file, { settings: { policy: "best" } }),
    /policy is best/,
  ],
  ["no settings", (file) => sequence(file, { settings: null }), /sequence.settings/],
  [
    "a smaller budget than the counts",
    (file) => sequence(file, { settings: { ...settings, budget: 40, window: 20 } }),
    /counts.*48 pairs where 1 to 40/,
  ],
  ["messages that are none", (file) => metadata(file, "messages", [1]), /messages\[0\]/],
  ["messages of nobody", (f) => metadata(f, "messages", [{ role: "x", content: "" }]), /messages/],
  ["no pages of a layer", (f) => withHeader(f, (header) => delete header["pages.2"]), /no tensor/],
  [
    "an empty head",
    (file) => withWords(file, "counts", (words) => words.set([0], 5)),
    /layer 2, kv head 1: 0 pairs/,
  ],
  [
    "a ring that is not full",
    (file) => withWords(file, "counts", (words) => words.set([39], 0)),
    /layer 0, kv head 0: 39 pairs where 40/,
  ],
  [
    "a count above capacity",
    (file) => withWords(file, "counts", (words) => words.set([49], 2)),
    /layer 1, kv head 0: 49 pairs/,
  ],
  [
    "counts that need other pages",
    (file) => withWords(sequence(file, { evicted: 264 }), "counts", (words) => words.set([10], 3)),
    /pages.1.*\[3, \d+\] belongs/,
  ],
  [
    "an unknown token",
    (file) => withWords(file, "tokens", (words) => words.set([VOCABULARY], 7)),
    /tokens.*\[7\] is 50/,
  ],
  [
    "a position of the future",
    (file) => withWords(file, "pages.1", (words) => words.set([SEEN], positions)),
    /pages.1: layer 1, kv head 0, slot 0: position 100 of 100/,
  ],
  [
    "a position twice",
    (file) => withWords(file, "pages.1", (words) => words.set([words[positions]!], positions + 1)),
    /slot 1: position \d+ is there twice/,
  ],
  [
    "a ring out of order",
    (file) =>
      withWords(file, "pages.0", (words) => {
        const [a, b] = [words[positions]!, words[positions + 1]!];
        words.set([b, a], positions);
      }),
    /slot 0: position 81 belongs to slot 1/,
  ],
  [
    "a score that is no number",
    (file) => withWords(file, "pages.2", (words) => words.set([0x7fc00000], scores)),
    /score is no number/,
  ],
  [
    "a key that is infinite",
    (file) => withWords(file, "pages.2", (words) => words.set([0x7c00], 3)),
    /slot 0: its key or value is no number/,
  ],
  [
    "NaN in a sum",
    (file) => withWords(file, "remainders", (words) => words.set([F32(Number.NaN)], 20)),
    /remainders.*\[20\] is NaN/,
  ],
  [
    "a negative number of dropped pairs",
    (file) => withWords(file, "remainders", (words) => words.set([F32(-1)], 18)),
    /remainders.*\[18\]: -1 pairs/,
  ],
  [
    "an infinite row",
    (file) => withWords(file, "last_row", (words) => words.set([F32(Number.POSITIVE_INFINITY)], 0)),
    /last_row.*\[0\] is Infinity/,
  ],
];

describe("a saved chat", () => {
  beforeAll(setGpuGlobals);

  it.each(KV_STORAGES)("comes back word for word, with pages of %s", async (storage) => {
    const chat = await fakeChat(storage);
    const { core, pool } = fakeCore({ storage });
    const loaded = await load(core, chat.file);
    expect(loaded).toMatchObject({
      tokens: chat.seen,
      lastRow: chat.row,
      asked: { budget: 48, policy: "q-filters" },
      messages: [{ role: "user", content: "hi" }],
    });
    expect(loaded.sequence.books).toEqual(chat.sequence.books);
    for (let layer = 0; layer < 3; layer += 1)
      expect(await readPages(pool, loaded.sequence, layer)).toEqual(
        await readPages(chat.pool, chat.sequence, layer),
      );
    pool.checkIntegrity();
    // What is saved again is the same file, byte for byte.
    const place = { live: loaded.sequence, seen: loaded.tokens, readRow: async () => chat.row };
    const about = { model: MODEL_NAME, asked: { budget: 48 }, messages: loaded.messages };
    const again = await saveChat(core, place as unknown as Place, about);
    expect(new Uint8Array(await again.arrayBuffer())).toEqual(chat.file);
  });

  it("has nothing in it that another chat has left in its pages", async () => {
    const { file } = await fakeChat();
    const page = pageWords(MODEL);
    withWords(file, "pages.2", (words) => {
      // The second head has 30 pairs in one page: the last two slots are empty.
      const last = words.subarray(words.length - page);
      expect([...last.subarray(30 * 4, 32 * 4)]).toEqual(new Array(8).fill(0));
      expect([...last.subarray(scores + 30)]).toEqual([0, 0]);
      expect(last[29 * 4]).not.toBe(0);
    });
  });

  it.each(WRONG)(
    "is refused with its place and nothing is kept: %s",
    async (_name, damage, said) => {
      const { file } = await fakeChat();
      const { core, pool } = fakeCore();
      const before = pool.gpu.ledger.report();
      const error = await load(core, damage(file)).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(WinnowError);
      expect(error).toMatchObject({
        code: "bad_cache_file",
        message: expect.stringMatching(said),
        hint: expect.stringMatching(/\.$/),
        details: { field: expect.any(String) },
      });
      expect((error as WinnowError).message).toMatch(/^chat.winnow: /);
      pool.checkIntegrity();
      expect(pool.allocators.map(({ used }) => used)).toEqual([0, 0, 0]);
      expect(pool.gpu.ledger.report().total).toBeLessThanOrEqual(before.total);
    },
  );

  it("is refused by an engine without the calibration, or with another one", async () => {
    const { file } = await fakeChat();
    await expect(load(fakeCore({ calibration: undefined }).core, file)).rejects.toMatchObject({
      code: "bad_cache_file",
      message: expect.stringMatching(/q-filters needs the model's calibration.*filters/),
    });
    await expect(load(fakeCore({ calibration: filters(2) }).core, file)).rejects.toMatchObject({
      code: "bad_cache_file",
      message: expect.stringMatching(/calibrated otherwise/),
    });
  });

  it("is refused or sound, whatever bytes are changed, cut or added", async () => {
    const { file } = await fakeChat();
    const header = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
    const place = fc.oneof(fc.nat(header + 1000), fc.nat(file.length - 1));
    const change = fc.oneof(
      fc.tuple(fc.constant("set"), place, fc.nat(255)),
      fc.tuple(fc.constant("cut"), fc.nat(file.length), fc.constant(0)),
      fc.tuple(fc.constant("copy"), place, fc.nat(file.length - 1)),
      fc.tuple(fc.constant("digit"), fc.nat(header), fc.integer({ min: 48, max: 57 })),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
        let bytes = file.slice();
        for (const [kind, at, value] of changes) {
          if (kind === "cut") bytes = bytes.slice(0, at);
          else if (kind === "copy") bytes.copyWithin(at, value, value + 64);
          else if (kind === "set" || (bytes[at]! >= 48 && bytes[at]! <= 57)) bytes[at] = value;
        }
        const { core, pool } = fakeCore();
        try {
          const { sequence, tokens } = await load(core, bytes);
          const { counts, seen } = sequence.books;
          expect(tokens).toHaveLength(seen);
          expect(Math.max(...tokens)).toBeLessThan(VOCABULARY);
          expect(sequence.pages.excess).toBe(0);
          expect(Math.min(...counts.flat())).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toMatchObject({ code: "bad_cache_file", hint: expect.stringMatching(/./) });
          expect(pool.allocators.map(({ used }) => used)).toEqual([0, 0, 0]);
        }
        pool.checkIntegrity();
      }),
      { numRuns: 300 },
    );
  });

  it("is read a layer at a time, each byte once", async () => {
    const { file } = await fakeChat();
    const source = new MemorySource(file, "chat.winnow");
    const reads: number[] = [];
    const watched = {
      name: "watched",
      size: source.size,
      read: (offset: number, length: number) => {
        reads.push(length);
        return source.read(offset, length);
      },
    };
    await loadChat(fakeCore().core, watched, MODEL_NAME);
    expect(reads.reduce((sum, length) => sum + length, 0)).toBe(file.length);
    expect(Math.max(...reads)).toBeLessThan(file.length / 2);
  });
});
