import { describe, expect, it } from "vitest";
import { WinnowError } from "../../../src/errors.ts";
import { f32ToF16 } from "../../../src/formats/ggml/float16.ts";
import type { GgmlType } from "../../../src/formats/ggml/ggml-types.ts";
import { createRepacker } from "../../../src/kernels/products/repack.ts";
import {
  commonLayout,
  LAYOUTS,
  type LayoutName,
  layoutOfType,
} from "../../../src/kernels/products/weight-layouts.ts";

const half = (value: number): number[] => [f32ToF16(value) & 255, f32ToF16(value) >> 8];

/** One row of `cols` weights into row 1 of streams two rows long; row 0 must stay zero. */
async function repackOne(name: LayoutName, type: GgmlType, cols: number, bytes: readonly number[]) {
  const layout = LAYOUTS[name];
  const blocks = Math.ceil(cols / 32);
  const out = layout.streams.map(({ words }) => new Uint32Array(2 * blocks * words).fill(0));
  const padding = bytes.map(() => 0xee);
  const repack = await createRepacker(layout, type, cols);
  repack(Uint8Array.from([...padding, ...bytes]), 1, out, 1);
  return out.map((stream) => {
    expect(stream.subarray(0, stream.length / 2).every((word) => word === 0)).toBe(true);
    return [...stream.subarray(stream.length / 2)].map((word) =>
      word.toString(16).padStart(8, "0"),
    );
  });
}

const f32 = (word: string): number =>
  new Float32Array(Uint32Array.of(Number.parseInt(word, 16)).buffer)[0]!;

describe("createRepacker", () => {
  // The file's byte i holds weight i low and weight i + 16 high; ours: nibble j of word c is 4j + c.
  const nibbles = Array.from({ length: 16 }, (_, i) => i | ((15 - i) << 4));
  const packed = ["37bfc840", "26aed951", "159dea62", "048cfb73"];

  it("orders Q4_1's nibbles by four and keeps its halves", async () => {
    const [quants, scales] = await repackOne("q4", "Q4_1", 32, [
      ...half(0.5),
      ...half(-2),
      ...nibbles,
    ]);
    expect(quants).toEqual(packed);
    expect(scales).toEqual(["c0003800"]);
  });

  it("gives Q4_0 its minimum of -8 scales, as halves or as f32", async () => {
    const bytes = [...half(0.25), ...nibbles];
    expect(await repackOne("q4", "Q4_0", 32, bytes)).toEqual([packed, ["c0003400"]]);
    const [quants, scales] = await repackOne("q4_wide", "Q4_0", 32, bytes);
    expect(quants).toEqual(packed);
    expect(scales!.map(f32)).toEqual([0.25, -2]);
  });

  it("refuses a scale whose minimum overflows a half, but takes it in f32", async () => {
    const bytes = [...half(10_000), ...nibbles];
    await expect(repackOne("q4", "Q4_0", 32, bytes)).rejects.toThrow(WinnowError);
    expect((await repackOne("q4_wide", "Q4_0", 32, bytes))[1]!.map(f32)).toEqual([10_000, -80_000]);
  });

  it("puts Q5_1's fifth bits in weight order", async () => {
    const bytes = [...half(1), ...half(0), 0x01, 0x80, 0x0f, 0xf0, ...nibbles];
    const [quants, high] = await repackOne("q5", "Q5_1", 32, bytes);
    expect(quants).toEqual(packed);
    expect(high).toEqual(["f00f8001"]);
  });

  it("puts Q8_0's bytes in the order of masks and widens its scale", async () => {
    const codes = Array.from({ length: 32 }, (_, i) => (i % 2 ? 256 - i : i));
    const [quants, scales] = await repackOne("q8", "Q8_0", 32, [...half(0.125), ...codes]);
    expect(quants!.slice(0, 4)).toEqual(["0c080400", "f3f7fbff", "0e0a0602", "f1f5f9fd"]);
    expect(scales!.map(f32)).toEqual([0.125]);
  });

  it("gives blocks of Q4_K their whole multiples, and d and dmin in turns", async () => {
    // Multiples 0 to 3 in bytes 0 to 3, those of minima in bytes 4 to 7; blocks 4 to 7 have nibbles in the last four.
    const packedMultiples = [63, 1, 2, 3, 9, 0, 0, 60, 0x54, 0, 0, 0xff];
    const bytes = [...half(2 ** -20), ...half(-3), ...packedMultiples, ...Array(128).fill(0)];
    const [, scales] = await repackOne("q4_k", "Q4_K", 256, bytes);
    const [d, dmin] = ["0010", "c200"];
    expect(scales).toEqual([
      `${d}093f`,
      `${dmin}0001`,
      `${d}0002`,
      `${dmin}3c03`,
      `${d}0504`,
      `${dmin}0000`,
      `${d}0000`,
      `${dmin}0f0f`,
    ]);
  });

  it("gives Q6_K two signed multiples and d a block, whatever they are where d is 0", async () => {
    const multiples = [-128, 127, -1, ...Array(12).fill(0), 5].map((each) => each & 255);
    const blockOf = (d: number) => [...Array(192).fill(0), ...multiples, ...half(d)];
    const [, , scales] = await repackOne("q6", "Q6_K", 256, blockOf(-0.5));
    expect([scales![0], scales![1], scales![7]]).toEqual(["b8007f80", "b80000ff", "b8000500"]);
    const [, , none] = await repackOne("q6", "Q6_K", 256, blockOf(0));
    expect(new Set(none)).toEqual(new Set(["00000000"]));
  });

  it("gives Q2_K two multiples of d and two of dmin", async () => {
    const multiples = [0x21, 0x43, ...Array(14).fill(0xf0)];
    const bytes = [...multiples, ...Array(64).fill(0), ...half(1), ...half(0.5)];
    const [, scales] = await repackOne("q2", "Q2_K", 256, bytes);
    expect(scales!.slice(0, 3)).toEqual(["3c004231", "3800ff00", "3c00ff00"]);
  });

  it("pads float rows to whole blocks with zeros", async () => {
    const bytes = [...new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer)];
    const [words] = await repackOne("f32", "F32", 4, bytes);
    expect(words!.slice(0, 4).map(f32)).toEqual([1, 2, 3, 4]);
    expect(new Set(words!.slice(4))).toEqual(new Set(["00000000"]));
  });

  it("widens F16 and BF16 into f32", async () => {
    const halves = [...half(1.5), ...half(-0.25), ...half(6e-8), ...half(0)];
    const wide = (await repackOne("f32", "F16", 4, halves))[0]!.slice(0, 4).map(f32);
    expect(wide).toEqual([1.5, -0.25, 2 ** -24, 0]);
    expect(
      (await repackOne("f32", "BF16", 4, [0x80, 0x3f, 0, 0xc0, 0, 0, 0, 0]))[0]!
        .slice(0, 2)
        .map(f32),
    ).toEqual([1, -2]);
  });
});

describe("commonLayout", () => {
  it.each([
    ["Q4_0", "Q4_1", "q4"],
    ["Q4_1", "Q4_K", "q4_wide"],
    ["Q5_0", "Q4_0", "q5"],
    ["Q5_0", "Q4_K", "q5_wide"],
    ["Q5_K", "Q4_0", "q5_wide"],
    ["Q5_K", "Q4_K", "q5_k"],
    ["Q4_K", "Q4_K", "q4_k"],
    ["Q5_K", "Q5_1", "q5_wide"],
    ["F16", "BF16", "f32"],
    ["F16", "F16", "f16"],
    ["Q4_K", "Q6_K", undefined],
    ["Q8_0", "Q4_0", undefined],
    ["F32", "Q4_0", undefined],
    ["Q2_K", "Q3_K", undefined],
    ["IQ4_NL", "IQ4_XS", "iq4"],
    ["IQ4_XS", "MXFP4", undefined],
  ] as const)("of %s and %s is %s", (a, b, name) => {
    expect(commonLayout(layoutOfType(a), layoutOfType(b))?.name).toBe(name);
    expect(commonLayout(layoutOfType(b), layoutOfType(a))?.name).toBe(name);
  });
});
