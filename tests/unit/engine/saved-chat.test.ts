import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { checkPages } from "../../../src/cache/check-pages.ts";
import { readPages } from "../../../src/cache/saved-pages.ts";
import { writeFilters } from "../../../src/cache/write-filters.ts";
import type { Place } from "../../../src/engine/chat/place.ts";
import { loadChat } from "../../../src/engine/chat/saved/load-chat.ts";
import { saveChat } from "../../../src/engine/chat/saved/save-chat.ts";
import { WinnowError } from "../../../src/errors.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import { pageWords } from "../../../src/kernels/pages/cache-shape.ts";
import { KV_STORAGES, pageParts } from "../../../src/kernels/pages/page-format.ts";
import { setGpuGlobals } from "../cache/fake-gpu.ts";
import {
  fakeChat,
  fakeCore,
  filters,
  load,
  MODEL,
  MODEL_NAME,
  metadata,
  SEEN,
  sequence,
  settings,
  VOCABULARY,
  withHeader,
  withWords,
} from "./fake-chat.ts";

const F32 = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const { positions, scores } = pageParts(MODEL);

/** The file with another length of its header. */
const withLength = (file: Uint8Array, length: bigint): Uint8Array => {
  const out = file.slice();
  new DataView(out.buffer).setBigUint64(0, length, true);
  return out;
};

const shape = (file: Uint8Array, change: object): Uint8Array =>
  withHeader(file, ({ __metadata__ }) => {
    __metadata__.shape = JSON.stringify({ ...JSON.parse(__metadata__.shape!), ...change });
  });

const nested = "[".repeat(1e5) + "]".repeat(1e5);
const otherModel = (file: Uint8Array): Uint8Array => metadata(file, "model_sha256", "other");

/** What may be wrong with a file, and what is said about it. */
const WRONG: [string, (file: Uint8Array) => Uint8Array, RegExp][] = [
  ["nothing", () => new Uint8Array(0), /header length.*only 0 bytes/],
  [
    "a web page",
    () => new TextEncoder().encode("<!doctype html><title>app</title>"),
    /is a web page/,
  ],
  [
    "a web page behind a byte order mark and spaces",
    () => new TextEncoder().encode("\ufeff \r\n<html><title>app</title>"),
    /is a web page/,
  ],
  [
    "a text",
    () => new TextEncoder().encode("version https://git-lfs.github.com/spec/v1"),
    /header length/,
  ],
  [
    "a header of 2^53 bytes",
    (file) => withLength(file, 2n ** 53n),
    /header length.*9007199254740992/,
  ],
  ["a header of 2^64 - 1 bytes", (file) => withLength(file, 2n ** 64n - 1n), /header length/],
  [
    "a tensor of more bytes than there are numbers",
    (file) =>
      withHeader(file, (header) => Object.assign(header.tokens!, { shape: [2 ** 52, 2 ** 52] })),
    /tokens.data_offsets.*span/,
  ],
  [
    "an offset that is no safe number",
    (file) =>
      withHeader(file, (header) => Object.assign(header.tokens!, { data_offsets: [0, 2 ** 60] })),
    /tokens.data_offsets/,
  ],
  [
    "a type that is no text",
    (file) =>
      withHeader(file, (header) => Object.assign(header.tokens!, { dtype: { toString: 1 } })),
    /tokens.dtype/,
  ],
  [
    "another head layout",
    (file) => shape(file, { kv_heads: 1, head_dim: 16 }),
    /shape.kv_heads.*2/,
  ],
  ["another window", (file) => shape(file, { windows: [32, 0, 0] }), /shape.windows/],
  [
    "pages of 8 bits that are called f16",
    (file) =>
      withHeader(file, (header) => Object.assign(header["pages.1"]!, { shape: [2, 2 * 384] })),
    /pages.1/,
  ],
  ["a count of tokens that is no number", (f) => sequence(f, { seen: { toString: 1 } }), /seen/],
  ["folds that are no number", (f) => sequence(f, { folds: { valueOf: 1 } }), /folds/],
  ["evictions that are no number", (f) => sequence(f, { evicted: { toString: 1 } }), /evicted/],
  ["heads divided by an object", (f) => sequence(f, { divided: { toString: 1 } }), /divided/],
  [
    "settings that are no numbers",
    (file) => sequence(file, { settings: { ...settings, budget: { toString: 1 } } }),
    /sequence.settings/,
  ],
  ["settings that are a list", (file) => sequence(file, { settings: [] }), /sequence.settings/],
  ["settings that are a text", (file) => sequence(file, { settings: "x".repeat(1e6) }), /settings/],
  [
    "lists in lists without an end",
    (file) => metadata(file, "shape", `{"layers":${nested}}`),
    /shape.layers/,
  ],
  [
    "settings in lists without an end",
    (file) =>
      metadata(file, "sequence", `{"seen":${nested},"settings":${JSON.stringify(settings)}}`),
    /sequence.seen/,
  ],
  ["a version of a million letters", (f) => metadata(f, "version", "9".repeat(1e6)), /version/],
  [
    "a name of a million letters",
    (f) => metadata(otherModel(f), "model_name", "x".repeat(1e6)),
    /model_sha256/,
  ],
  [
    "a ring's token from before its window",
    (file) => withWords(file, "pages.0", (words) => words.set([5], positions + 5)),
    /pages.0: .*slot 5: position 5 /,
  ],
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
    /sequence\.settings.*must be one of.*not "best"/,
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

  it("comes from before long prompts could be read twice, and goes on as one that reads them once", async () => {
    const { file } = await fakeChat();
    const old = withHeader(file, ({ __metadata__ }) => {
      __metadata__.sequence = __metadata__.sequence!.replace(',"reread":false', "");
    });
    expect(old).not.toEqual(file);
    const loaded = await load(fakeCore().core, old);
    expect(loaded.sequence.settings.reread).toBe(false);
  });

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
      expect(JSON.stringify((error as WinnowError).toWire()).length).toBeLessThan(2000);
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

  it.each([{ bytes: 10 }, { budget: 3 }, { window: { toString: 1 } }, { budget: "all" }])(
    "goes on by the settings in force where those asked for cannot be had: %j",
    async (asked) => {
      const { file } = await fakeChat();
      const loaded = await load(fakeCore().core, metadata(file, "asked", asked));
      expect(loaded.asked).toEqual(settings);
    },
  );

  it("is refused where nothing was dropped and pairs are out of order", () => {
    const books = { seen: 30, settings, divided: false };
    const shape = { ...MODEL, kvHeads: 1, windows: [0, 0, 0] };
    const words = new Uint32Array(pageWords(MODEL));
    for (let slot = 0; slot < 30; slot += 1) words[positions + slot] = slot;
    [words[positions + 7], words[positions + 8]] = [8, 7];
    const check = (counts: number[][]) =>
      checkPages(
        shape,
        { ...books, counts, folds: 0, system: 0, evicted: 0 },
        2,
        words,
        (place, problem) => {
          throw new Error(`${place}: ${problem}`);
        },
      );
    expect(() => check([[30], [30], [30]])).toThrow(/slot 7: position 8 belongs to slot 8/);
    // Once something was dropped, slots are in no order.
    check([[20], [30], [30]]);
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
