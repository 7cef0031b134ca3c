import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import { MemorySource } from "../../../src/formats/blob-source.ts";
import type { ByteSource } from "../../../src/formats/byte-source.ts";
import {
  GGML_TYPES,
  type GgmlType,
  tensorByteLength,
} from "../../../src/formats/ggml/ggml-types.ts";
import {
  getBoolean,
  getBooleanArray,
  getNumber,
  getNumberArray,
  getString,
  getStringArray,
  parseGguf,
  tensorNamed,
} from "../../../src/formats/gguf/gguf.ts";
import {
  type MetadataInput,
  type TensorInput,
  writeGguf,
} from "../../reference/tiny-model/gguf-writer.ts";
import fixture from "../fixtures/quant.json" with { type: "json" };

/** Counts what is read, so that tests can hold the parser to the file's real size. */
class CountingSource implements ByteSource {
  readonly name = "test.gguf";
  readonly size: number;
  largestRead = 0;
  bytesRead = 0;
  readonly #inner: MemorySource;

  constructor(bytes: Uint8Array) {
    this.#inner = new MemorySource(bytes, "test.gguf");
    this.size = bytes.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.largestRead = Math.max(this.largestRead, length);
    this.bytesRead += length;
    return this.#inner.read(offset, length);
  }
}

async function failure(bytes: Uint8Array, chunkBytes = 64): Promise<WinnowError> {
  const source = new CountingSource(bytes);
  try {
    await parseGguf(source, { chunkBytes });
  } catch (error) {
    expect(error).toBeInstanceOf(WinnowError);
    expect(source.bytesRead).toBeLessThanOrEqual(bytes.length);
    return error as WinnowError;
  }
  throw new Error("the file was accepted");
}

const f32 = (name: string, ...shape: number[]): TensorInput => ({
  name,
  type: "F32",
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b)),
});

const small = (): Uint8Array =>
  writeGguf({
    metadata: { "general.architecture": "llama", "a.list": ["x", "yé", ""], "a.n": 7 },
    tensors: [f32("one", 3, 2), f32("two", 5)],
  });

/** `bytes` with little-endian values written over it. */
function patched(bytes: Uint8Array, ...patches: [at: number, value: number | bigint][]) {
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  for (const [at, value] of patches)
    if (typeof value === "bigint") view.setBigUint64(at, value, true);
    else view.setUint32(at, value, true);
  return copy;
}

/** Where the length-prefixed `text` begins (at its length). */
function find(bytes: Uint8Array, text: string): number {
  const at = Buffer.from(bytes).indexOf(text) - 8;
  if (at < 0) throw new Error(`${text} is not in the file`);
  return at;
}

describe("a file of the gguf package's writer", () => {
  const bytes = new Uint8Array(
    readFileSync(new URL("../fixtures/quant-gguf.bin", import.meta.url)),
  );

  it.each([1, 100, 1 << 20])(
    "reads as its own reader says, in chunks of %i",
    async (chunkBytes) => {
      const gguf = await parseGguf(new CountingSource(bytes), { chunkBytes });
      const { dataOffset, alignment, tensors } = fixture.gguf;
      expect({ dataOffset: gguf.dataOffset, alignment: gguf.alignment }).toEqual({
        dataOffset,
        alignment,
      });
      expect([...gguf.tensors.values()]).toEqual(tensors);
      expect([...gguf.tensors.keys()]).toEqual(tensors.map((tensor) => tensor.name));
      expect(gguf.version).toBe(3);
    },
  );

  it("gives every value type", async () => {
    const gguf = await parseGguf(new MemorySource(bytes));
    const value = (key: string) => gguf.metadata.get(`t.${key}`);
    expect(value("u8")).toBe(200);
    expect(value("i8")).toBe(-100);
    expect(value("u16")).toBe(60_000);
    expect(value("i16")).toBe(-30_000);
    expect(value("u32")).toBe(4_000_000_000);
    expect(value("i32")).toBe(-2_000_000_000);
    expect(value("u64")).toBe(2 ** 40 + 1);
    expect(value("u64.max")).toBe(2n ** 64n - 1n);
    expect(value("i64")).toBe(-(2 ** 40) - 1);
    expect(value("f32")).toBe(Math.fround(0.1));
    expect(value("f64")).toBe(0.1);
    expect(getBoolean(gguf, "t.true")).toBe(true);
    expect(getBoolean(gguf, "t.false")).toBe(false);
    expect(getString(gguf, "t.string")).toBe("\ufeffzażółć 🍂");
    expect(getStringArray(gguf, "t.strings")).toEqual(["", "a", "Ġhello", "日本"]);
    expect([...Array.from(getNumberArray(gguf, "t.ints"))]).toEqual([1, -2, 3]);
    expect([...Array.from(getNumberArray(gguf, "t.floats"))]).toEqual([0.5, -1.25]);
    expect(getBooleanArray(gguf, "t.bools")).toEqual([true, false, true]);
  });

  it("lets the typed getters name the key that is missing or wrong", async () => {
    const gguf = await parseGguf(new MemorySource(bytes));
    expect(getNumber(gguf, "t.none", 5)).toBe(5);
    expect(getString(gguf, "t.none", "")).toBe("");
    expect(() => getNumber(gguf, "t.none")).toThrow("metadata t.none: is missing; a number");
    expect(() => getNumber(gguf, "t.string", 5)).toThrow("metadata t.string: must be a number");
    expect(() => getNumber(gguf, "t.u64.max")).toThrow("not bigint");
    expect(() => getString(gguf, "t.u8")).toThrow("must be a string, not number");
    expect(() => getBoolean(gguf, "t.u8")).toThrow("must be a boolean, not number");
    expect(() => getStringArray(gguf, "t.bools")).toThrow("must be a string array, not array");
    expect(() => getNumberArray(gguf, "t.strings")).toThrow("must be a numeric array");
    expect(() => getBooleanArray(gguf, "t.ints")).toThrow("not Int32Array");
    try {
      getNumber(gguf, "t.none");
    } catch (error) {
      expect(error).toMatchObject({ code: "bad_model_file", details: { field: "t.none" } });
    }
  });
});

describe("valid files", () => {
  const text = fc.string({ unit: "binary", maxLength: 40 });
  const value: fc.Arbitrary<MetadataInput> = fc.oneof(
    text,
    fc.boolean(),
    fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 }),
    fc.float({ noNaN: true, noDefaultInfinity: true }).filter((x) => !Number.isInteger(x)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.array(text),
    fc.array(fc.boolean(), { minLength: 1 }),
    fc.uint8Array(),
    fc.int16Array(),
    fc.uint32Array(),
    fc.float32Array({ noNaN: true }),
    fc.float64Array({ noNaN: true }),
    fc.bigUint64Array(),
    fc.bigInt64Array(),
  );
  const tensor = fc
    .record({
      type: fc.constantFrom(...(Object.keys(GGML_TYPES) as GgmlType[])),
      blocks: fc.integer({ min: 1, max: 3 }),
      rest: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 3 }),
      fill: fc.integer({ min: 0, max: 255 }),
    })
    .map(({ type, blocks, rest, fill }) => {
      const shape = [blocks * GGML_TYPES[type].blockSize, ...rest];
      return { type, shape, data: new Uint8Array(tensorByteLength(type, shape)).fill(fill) };
    });
  const input = fc.record({
    version: fc.constantFrom(2, 3),
    alignment: fc.option(fc.constantFrom(1, 8, 32, 64, 4096)),
    metadata: fc.dictionary(
      text.filter((key) => key !== ""),
      value,
      { maxKeys: 8 },
    ),
    tensors: fc.uniqueArray(fc.record({ name: text.filter((name) => name !== ""), tensor }), {
      selector: (one) => one.name,
      maxLength: 6,
    }),
    chunkBytes: fc.integer({ min: 1, max: 500 }),
  });

  it("come back as they were written", async () => {
    await fc.assert(
      fc.asyncProperty(input, async ({ version, alignment, metadata, tensors, chunkBytes }) => {
        const all = { ...metadata, ...(alignment ? { "general.alignment": alignment } : {}) };
        const list = tensors.map(({ name, tensor }) => ({ name, ...tensor }));
        const bytes = writeGguf({ version, metadata: all, tensors: list });
        const gguf = await parseGguf(new CountingSource(bytes), { chunkBytes });
        expect(gguf.version).toBe(version);
        expect([...gguf.metadata.keys()]).toEqual(Object.keys(all));
        for (const [key, expected] of Object.entries(all)) {
          const actual = gguf.metadata.get(key);
          if (typeof expected === "bigint") expect(BigInt(actual as number)).toBe(expected);
          else
            expect(actual).toEqual(
              typeof expected === "number" && !Number.isInteger(expected)
                ? Math.fround(expected)
                : expected,
            );
        }
        expect(gguf.tensors.size).toBe(list.length);
        for (const { name, type, shape, data } of list) {
          const found = gguf.tensors.get(name)!;
          expect(found).toMatchObject({ name, type, shape, byteLength: data.length });
          expect(found.offset % gguf.alignment).toBe(0);
          expect(bytes.slice(found.offset, found.offset + found.byteLength)).toEqual(data);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("may hold a vocabulary of 49,152 strings and as many merges", async () => {
    const tokens = Array.from({ length: 49_152 }, (_, i) => `Ġ${i.toString(36)}`);
    const bytes = writeGguf({ metadata: { tokens, merges: tokens }, tensors: [] });
    const gguf = await parseGguf(new CountingSource(bytes), { chunkBytes: 4096 });
    expect(gguf.metadata.get("merges")).toEqual(tokens);
  });

  it("stop when aborted", async () => {
    const controller = new AbortController();
    controller.abort();
    const parsing = parseGguf(new MemorySource(small()), { signal: controller.signal });
    await expect(parsing).rejects.toMatchObject({ code: "aborted" });
  });
});

describe("hostile files", () => {
  const bytes = small();
  const two = find(bytes, "two");
  const one = find(bytes, "one");
  const list = find(bytes, "a.list");
  const huge = 2n ** 63n;
  // one: name 8 + 3, n_dims 4, dims 16, type 4, offset 8
  const rows: [string, Uint8Array, string, string, number?][] = [
    ["an empty file", new Uint8Array(0), "the file ends after 0", "magic", 0],
    ["another magic", patched(bytes, [0, 0x67676d6c]), "not a GGUF file", "magic", 0],
    ["big-endian", patched(bytes, [4, 0x03000000]), "big-endian", "version", 4],
    ["version 1", patched(bytes, [4, 1]), "version 1 is not supported", "version", 4],
    ["version 4", patched(bytes, [4, 4]), "version 4 is not supported", "version", 4],
    ["tensor count 2^63", patched(bytes, [8, huge]), "9223372036854775808", "tensor_count", 8],
    ["tensor count 60,000", patched(bytes, [8, 60_000n]), "more than fit", "tensor_count", 8],
    ["key count 2^64-1", patched(bytes, [16, 2n ** 64n - 1n]), "bounds", "metadata_kv_count", 16],
    ["key count 60,000", patched(bytes, [16, 60_000n]), "more than fit", "metadata_kv_count", 16],
    ["key length 2^63", patched(bytes, [24, huge]), "out of bounds", "metadata key 0", 24],
    ["empty key", patched(bytes, [24, 0n]), "is empty", "metadata key 0", 24],
    [
      "value type 13",
      patched(bytes, [list + 14, 13]),
      "unknown value type 13",
      "a.list",
      list + 14,
    ],
    ["a list read as arrays", patched(bytes, [list + 18, 9]), "more than fit", "a.list"],
    ["array of type 99", patched(bytes, [list + 18, 99]), "element type 99", "a.list", list + 18],
    [
      "array length 2^40",
      patched(bytes, [list + 22, 2n ** 40n]),
      "more than fit",
      "a.list",
      list + 22,
    ],
    ["array length 2^63", patched(bytes, [list + 22, huge]), "out of bounds", "a.list", list + 22],
    ["string length 2^50", patched(bytes, [list + 30, 2n ** 50n]), "out of bounds", "a.list"],
    ["string length 100,000", patched(bytes, [list + 30, 100_000n]), "the file ends", "a.list"],
    ["no dimensions", patched(bytes, [two + 11, 0]), "1 to 4, not 0", "two n_dims", two + 11],
    ["5 dimensions", patched(bytes, [two + 11, 5]), "1 to 4, not 5", "two n_dims", two + 11],
    ["a zero dimension", patched(bytes, [two + 15, 0n]), "is zero", "two dimension 0", two + 15],
    [
      "a dimension of 2^63",
      patched(bytes, [two + 15, huge]),
      "bounds",
      "two dimension 0",
      two + 15,
    ],
    [
      "sizes past 2^53",
      patched(bytes, [one + 15, 2n ** 40n], [one + 23, 2n ** 40n]),
      "absurdly",
      "one size",
      one,
    ],
    [
      "offset outside",
      patched(bytes, [two + 27, 1n << 20n]),
      "the tensor ends",
      "two offset",
      two + 27,
    ],
    ["offset 2^53 - 32", patched(bytes, [two + 27, 2n ** 53n - 32n]), "absurdly", "two size"],
    [
      "offset misaligned",
      patched(bytes, [two + 27, 4n]),
      "not a multiple of 32",
      "two offset",
      two + 27,
    ],
    ["tensors overlapping", patched(bytes, [two + 27, 0n]), "overlaps", "two offset"],
    ["one byte short", bytes.slice(0, -1), "the tensor ends", "two offset", two + 27],
  ];

  it.each(rows)("%s", async (_, file, message, field, offset) => {
    const error = await failure(file);
    expect(error.code).toBe("bad_model_file");
    expect(error.message).toMatch(message);
    expect(error.hint).not.toBe("");
    expect(error.details.field).toBe(field);
    if (offset !== undefined) expect(error.details.offset).toBe(offset);
  });

  it("passes over a tensor of a type it does not read, until somebody asks for it", async () => {
    for (const [id, name] of [
      [21, "IQ3_S"],
      [34, "TQ1_0"],
      [31, "type 31"],
      [2 ** 31, "type 2147483648"],
    ] as const) {
      const gguf = await parseGguf(new CountingSource(patched(bytes, [two + 23, id])));
      expect(gguf.notices).toEqual([expect.stringContaining(`two (${name})`)]);
      expect(tensorNamed(gguf, "one")?.name).toBe("one");
      expect(() => tensorNamed(gguf, "two")).toThrow(
        expect.objectContaining({
          code: "unsupported_model",
          message: expect.stringContaining(name),
          details: { field: "two", tensor: "two", type: name },
        }),
      );
    }
  });

  it("refuses rows that are not whole blocks", async () => {
    const error = await failure(patched(bytes, [two + 23, GGML_TYPES.Q4_1.id]));
    expect(error).toMatchObject({ code: "bad_model_file", details: { field: "two dimension 0" } });
  });

  it("refuses duplicates and odd alignments", async () => {
    const tensors = [f32("one", 2), f32("one", 2)];
    expect((await failure(writeGguf({ metadata: {}, tensors }))).message).toMatch(
      "duplicate tensor name",
    );
    const keys = writeGguf({ metadata: { "k.a": 1, "k.b": 2 }, tensors: [] });
    keys[find(keys, "k.b") + 10] = "a".charCodeAt(0);
    expect(await failure(keys)).toMatchObject({ details: { field: "k.a" } });
    for (const alignment of [0, 24, -32, 2 ** 21, 0.5, "32", 32n ** 12n]) {
      const file = writeGguf({ metadata: {}, tensors: [] });
      const odd = writeGguf({
        metadata: { "general.alignmenT": alignment as number },
        tensors: [],
      });
      expect(file.length).toBeLessThan(odd.length);
      odd[find(odd, "general.alignmenT") + 24] = "t".charCodeAt(0);
      expect(await failure(odd)).toMatchObject({ details: { field: "general.alignment" } });
    }
    const boolean = writeGguf({ metadata: { flag: true }, tensors: [] });
    boolean[find(boolean, "flag") + 16] = 2;
    expect((await failure(boolean)).message).toMatch("must be 0 or 1, not 2");
  });

  it("takes nothing for granted when the key count runs into the tensors", async () => {
    expect((await failure(patched(bytes, [16, 4n]))).code).toBe("bad_model_file");
    expect((await failure(patched(bytes, [16, 2n]))).code).toBe("bad_model_file");
  });

  it("refuses every truncation with a field and an offset", async () => {
    for (let length = 0; length < bytes.length; length++) {
      const error = await failure(bytes.slice(0, length), 1 + (length % 70));
      expect(error.code).toBe("bad_model_file");
      expect(error.details.field).toBeTypeOf("string");
      expect(error.details.offset).toBeTypeOf("number");
    }
  });

  it("survives random damage: a WinnowError or a file that is in order", async () => {
    const whole = new Uint8Array(
      readFileSync(new URL("../fixtures/quant-gguf.bin", import.meta.url)),
    );
    const headerEnd = fixture.gguf.dataOffset;
    const flip = fc.tuple(fc.nat(headerEnd - 1), fc.integer({ min: 1, max: 255 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(flip, { minLength: 1, maxLength: 4 }),
        fc.option(fc.nat(whole.length)),
        async (flips, length) => {
          const damaged = whole.slice(0, length ?? whole.length);
          for (const [at, xor] of flips) if (at < damaged.length) damaged[at]! ^= xor;
          const source = new CountingSource(damaged);
          try {
            const gguf = await parseGguf(source, { chunkBytes: 256 });
            for (const { offset, byteLength } of gguf.tensors.values())
              expect(offset + byteLength).toBeLessThanOrEqual(damaged.length);
          } catch (error) {
            expect(error).toBeInstanceOf(WinnowError);
            expect(["bad_model_file", "unsupported_model"]).toContain((error as WinnowError).code);
          }
          expect(source.bytesRead).toBeLessThanOrEqual(damaged.length);
        },
      ),
      { numRuns: 1500 },
    );
  });
});
