import { describe, expect, it } from "vitest";
import { CODE_FORMATS } from "../../../src/formats/ggml/code-formats.ts";
import { allocateDecodedBlocks, decodeBlocks } from "../../../src/formats/ggml/decode-blocks.ts";
import { dequantize } from "../../../src/formats/ggml/dequantize.ts";
import {
  bf16ToF32,
  f16ToF32,
  f32ToBf16,
  f32ToBf16Array,
  f32ToF16,
  f32ToF16Array,
} from "../../../src/formats/ggml/float16.ts";
import {
  GGML_TYPES,
  type GgmlType,
  isQuantized,
  tensorByteLength,
} from "../../../src/formats/ggml/ggml-types.ts";
import fixture from "../fixtures/quant.json" with { type: "json" };

const bytesOf = (base64: string) => new Uint8Array(Buffer.from(base64, "base64"));
const floatsOf = (base64: string) => new Float32Array(bytesOf(base64).buffer);
const bitsOf = (floats: Float32Array) => [
  ...new Uint32Array(floats.buffer, floats.byteOffset, floats.length),
];

describe("dequantize", () => {
  it("has a fixture for every type", () => {
    expect(new Set(fixture.cases.map((one) => one.type))).toEqual(new Set(Object.keys(GGML_TYPES)));
  });

  it.each(fixture.cases.map((one, i) => [`${one.type} (case ${i})`, one] as const))(
    "%s: the bits of the gguf package",
    (_, { type, count, bytes, weights }) => {
      const actual = dequantize(type as GgmlType, bytesOf(bytes), count);
      expect(bitsOf(actual)).toEqual(bitsOf(floatsOf(weights)));
    },
  );

  it("reads from an unaligned view", () => {
    for (const { type, count, bytes, weights } of fixture.cases) {
      const aligned = bytesOf(bytes);
      const shifted = new Uint8Array(aligned.length + 1);
      shifted.set(aligned, 1);
      const actual = dequantize(type as GgmlType, shifted.subarray(1), count);
      expect(bitsOf(actual)).toEqual(bitsOf(floatsOf(weights)));
    }
  });

  it("refuses parts of blocks and short bytes", () => {
    expect(() => dequantize("Q4_1", new Uint8Array(40), 33)).toThrow(/count: 33 is not a multiple/);
    expect(() => dequantize("Q4_1", new Uint8Array(39), 64)).toThrow(/take 40 bytes, not 39/);
  });
});

describe("decodeBlocks", () => {
  const quantized = fixture.cases.flatMap(({ type, ...rest }) =>
    isQuantized(type as GgmlType) ? [{ type: type as keyof typeof CODE_FORMATS, ...rest }] : [],
  );

  it.each(quantized)("$type: scale * code + min is the weight", (one) => {
    const { type, count, bytes, weights } = one;
    const expected = floatsOf(weights);
    const { blockSize } = GGML_TYPES[type];
    const { groupSize, signed, levels, bits, zero } = CODE_FORMATS[type];
    const out = allocateDecodedBlocks(type, count / blockSize);
    decodeBlocks(type, bytesOf(bytes), 0, count / blockSize, out);
    for (let i = 0; i < count; i++) {
      const code = signed ? (out.codes[i]! << 24) >> 24 : out.codes[i]!;
      const g = Math.floor(i / groupSize);
      // + 0 forgives the sign of zero, the one difference that is documented.
      const level = levels?.[code] ?? code;
      expect(Math.fround(out.scales[g]! * level + out.mins[g]!) + 0).toBe(expected[i]! + 0);
      if (!signed) expect(code).toBeLessThan(2 ** bits);
      if (zero !== undefined) expect(out.mins[g]! + 0).toBe(-zero * out.scales[g]! + 0);
    }
  });

  it("decodes a range of blocks to the start of the output", () => {
    for (const { type, count, bytes } of quantized) {
      const { blockSize } = GGML_TYPES[type];
      const groups = blockSize / CODE_FORMATS[type].groupSize;
      const blocks = count / blockSize;
      const whole = allocateDecodedBlocks(type, blocks);
      decodeBlocks(type, bytesOf(bytes), 0, blocks, whole);
      const part = allocateDecodedBlocks(type, 2);
      decodeBlocks(type, bytesOf(bytes), 3, 2, part);
      expect(part.codes).toEqual(whole.codes.slice(3 * blockSize, 5 * blockSize));
      expect(part.scales).toEqual(whole.scales.slice(3 * groups, 5 * groups));
      expect(part.mins).toEqual(whole.mins.slice(3 * groups, 5 * groups));
    }
  });

  it("keeps half-precision scales exact in f16 where it says so", () => {
    for (const { type, count, bytes } of quantized) {
      if (!CODE_FORMATS[type].halfScales) continue;
      const out = allocateDecodedBlocks(type, count / GGML_TYPES[type].blockSize);
      decodeBlocks(type, bytesOf(bytes), 0, count / GGML_TYPES[type].blockSize, out);
      for (const scale of out.scales) expect(f16ToF32(f32ToF16(scale))).toBe(scale);
    }
  });
});

describe("half precision", () => {
  const values = floatsOf(fixture.rounding.values);

  it("rounds as NumPy and the gguf package do", () => {
    expect([...f32ToF16Array(values)]).toEqual([
      ...new Uint16Array(bytesOf(fixture.rounding.f16).buffer),
    ]);
    expect([...f32ToBf16Array(values)]).toEqual([
      ...new Uint16Array(bytesOf(fixture.rounding.bf16).buffer),
    ]);
  });

  it("brings every half and every bfloat16 back to itself", () => {
    for (let bits = 0; bits < 65_536; bits++) {
      if (!Number.isNaN(f16ToF32(bits))) expect(f32ToF16(f16ToF32(bits))).toBe(bits);
      if (!Number.isNaN(bf16ToF32(bits))) expect(f32ToBf16(bf16ToF32(bits))).toBe(bits);
    }
    expect(f16ToF32(f32ToF16(Number.NaN))).toBeNaN();
    expect(bf16ToF32(f32ToBf16(Number.NaN))).toBeNaN();
  });
});

describe("tensorByteLength", () => {
  it("is NaN for broken rows and unsafe sizes", () => {
    expect(tensorByteLength("Q4_1", [576, 1536])).toBe(552_960);
    expect(tensorByteLength("Q6_K", [256])).toBe(210);
    expect(tensorByteLength("Q4_1", [33, 2])).toBeNaN();
    expect(tensorByteLength("F32", [2 ** 30, 2 ** 30])).toBeNaN();
  });
});
