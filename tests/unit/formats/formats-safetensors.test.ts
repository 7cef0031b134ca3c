import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import { readSafetensors } from "../../../src/formats/checkpoint/safetensors.ts";
import { writeSafetensors } from "../../../src/formats/checkpoint/write-safetensors.ts";
import fixture from "../fixtures/quant.json" with { type: "json" };

const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));
const floatsOf = (base64: string) => new Float32Array(bytesOf(base64).buffer);

/** A file with any header text and data. */
function raw(header: unknown, data = new Uint8Array(0), claimed?: bigint): Uint8Array {
  const json = new TextEncoder().encode(
    typeof header === "string" ? header : JSON.stringify(header),
  );
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, claimed ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = "F32") => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

describe("safetensors", () => {
  it("reads what the safetensors package wrote", () => {
    const { metadata, tensors } = readSafetensors(bytesOf(fixture.safetensors.bytes));
    expect(Object.fromEntries(metadata)).toEqual({ made: "by torch" });
    const expected = Object.entries(fixture.safetensors.tensors);
    expect(tensors.size).toBe(expected.length);
    for (const [name, { shape, values }] of expected) {
      expect(tensors.get(name)?.shape).toEqual(shape);
      expect(tensors.get(name)?.values).toEqual(floatsOf(values));
    }
  });

  it("writes the bytes the safetensors package writes", () => {
    const bytes = bytesOf(fixture.safetensors.bytes);
    expect(writeSafetensors(readSafetensors(bytes))).toEqual(bytes);
  });

  it("round-trips any tensors", () => {
    const tensor = fc
      .record({
        dtype: fc.constantFrom("F32" as const, "F16" as const, "BF16" as const),
        shape: fc.array(fc.nat(4), { maxLength: 4 }),
      })
      .map(({ dtype, shape }) => {
        const count = shape.reduce((a, b) => a * b, 1);
        return { dtype, shape, values: Float32Array.from({ length: count }, (_, i) => i - 3) };
      });
    const metadata = fc.dictionary(fc.string(), fc.string(), { noNullPrototype: true });
    const tensors = fc.dictionary(
      fc.string().filter((name) => name !== "__metadata__" && name !== "__proto__"),
      tensor,
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(metadata, tensors, (metadata, tensors) => {
        const read = readSafetensors(writeSafetensors({ metadata, tensors }));
        expect(new Map(read.metadata)).toEqual(new Map(Object.entries(metadata)));
        expect(new Map(read.tensors)).toEqual(new Map(Object.entries(tensors)));
      }),
    );
  });

  const data = new Uint8Array(16);
  it.each<[string, Uint8Array, string, RegExp]>([
    ["too short", new Uint8Array(7), "header length", /only 7 bytes/],
    ["header past the end", raw({}, data, 1000n), "header length", /1000 bytes/],
    ["header of 2^63", raw({}, data, 2n ** 63n), "header length", /9223372036854775808/],
    ["no JSON", raw("{"), "header", /not JSON/],
    ["bad UTF-8", raw("{}\u0000").fill(0xff, 8), "header", /not JSON/],
    ["a list", raw([]), "header", /not a JSON object/],
    ["an entry that is null", raw({ a: null }), "a", /not an object/],
    ["metadata of numbers", raw({ __metadata__: { a: 1 } }), "__metadata__.a", /string/],
    ["I64", raw({ a: entry(0, 16, [2], "I64") }, data), "a.dtype", /I64 is not F32/],
    ["a dtype from the prototype", raw({ a: entry(0, 16, [4], "toString") }), "a.dtype", /is not/],
    ["a negative size", raw({ a: entry(0, 16, [-4]) }, data), "a.shape", /sizes/],
    [
      "a shape of 2^53",
      raw({ a: entry(0, 16, [2 ** 53 - 1, 4]) }, data),
      "a.data_offsets",
      /needs/,
    ],
    [
      "half an offset",
      raw({ a: { dtype: "F32", shape: [1], data_offsets: [0] } }),
      "a.data_offsets",
      /pair/,
    ],
    ["backwards", raw({ a: entry(16, 0, [4]) }, data), "a.data_offsets", /-16 bytes/],
    ["another size", raw({ a: entry(0, 16, [5]) }, data), "a.data_offsets", /needs 20/],
    ["outside", raw({ a: entry(0, 20) }, data), "a", /ends after/],
    ["a hole", raw({ a: entry(0, 4), b: entry(8, 16) }, data), "b", /begin at data byte 4/],
    ["an overlap", raw({ a: entry(0, 8), b: entry(4, 16) }, data), "b", /begin at data byte 8/],
    ["bytes left over", raw({ a: entry(0, 8) }, data), "data", /no tensor/],
  ])("refuses %s", (_, bytes, field, message) => {
    try {
      readSafetensors(bytes, { name: "f.safetensors" });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(WinnowError);
      expect(error).toMatchObject({ code: "bad_filters", details: { field } });
      expect((error as WinnowError).message).toMatch(message);
    }
  });

  it("takes the error code it is told and refuses to write a wrong shape", () => {
    expect(() => readSafetensors(data, { errorCode: "bad_model_file" })).toThrow(
      expect.objectContaining({ code: "bad_model_file" }),
    );
    const tensors = { a: { dtype: "F32" as const, shape: [2], values: new Float32Array(3) } };
    expect(() => writeSafetensors({ tensors })).toThrow(/does not hold 3 values/);
  });

  it("survives random damage", () => {
    const whole = bytesOf(fixture.safetensors.bytes);
    const flip = fc.tuple(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(
        fc.array(flip, { minLength: 1, maxLength: 4 }),
        fc.nat(whole.length),
        (flips, cut) => {
          const damaged = flips.length % 2 ? whole.slice(0, cut) : whole.slice();
          for (const [at, xor] of flips) if (at < damaged.length) damaged[at]! ^= xor;
          try {
            readSafetensors(damaged);
          } catch (error) {
            expect(error).toBeInstanceOf(WinnowError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
