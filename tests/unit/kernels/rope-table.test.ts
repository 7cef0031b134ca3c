import { describe, expect, test } from "vitest";
import { inverseFrequencies, ropeTable } from "../../../src/kernels/rope-table.ts";

/** cos and sin of a position as shaders/lib/rope.wgsl joins them, each operation rounded to f32. */
function angle(table: Float32Array, half: number, position: number, pair: number) {
  const at = (row: number) => {
    const word = 2 * (row * half + pair);
    return [table[word]!, table[word + 1]!] as const;
  };
  const [lowCos, lowSin] = at(position % 256);
  const [highCos, highSin] = at(256 + Math.floor(position / 256));
  const f = Math.fround;
  return [
    f(f(highCos * lowCos) - f(highSin * lowSin)),
    f(f(highSin * lowCos) + f(highCos * lowSin)),
  ] as const;
}

describe("inverseFrequencies", () => {
  test("base^(-2i/D)", () => {
    expect([...inverseFrequencies(4, 10000)]).toEqual([1, 0.01]);
    const all = inverseFrequencies(64, 100000);
    expect(all.length).toBe(32);
    expect(all[16]).toBeCloseTo(100000 ** -0.5, 15);
  });

  test("divided by the model's factors", () => {
    expect([...inverseFrequencies(4, 10000, [1, 8])]).toEqual([1, 0.00125]);
  });
});

describe("ropeTable", () => {
  test.each([
    [64, 10000],
    [128, 500000],
    [16, 100],
  ])("D %i, base %i: every angle to position 100,000 within 2e-7 of f64", (headDim, base) => {
    const half = headDim / 2;
    const frequencies = inverseFrequencies(headDim, base);
    const table = ropeTable(frequencies, 100_001);
    let worst = 0;
    for (let position = 0; position <= 100_000; position += position < 600 ? 1 : 97) {
      for (let i = 0; i < half; i += 1) {
        const [cos, sin] = angle(table, half, position, i);
        const exact = position * frequencies[i]!;
        worst = Math.max(worst, Math.abs(cos - Math.cos(exact)), Math.abs(sin - Math.sin(exact)));
      }
    }
    expect(worst).toBeLessThan(2e-7);
    expect(worst).toBeGreaterThan(0);
  });

  test.each([1, 255, 256, 257, 4096])(
    "a context of %i has rows for its last position",
    (length) => {
      const table = ropeTable(inverseFrequencies(16, 10000), length);
      const rows = table.length / 16;
      expect(rows).toBeGreaterThan(256 + Math.floor((length - 1) / 256));
      const [cos] = angle(table, 8, length - 1, 0);
      expect(cos).toBeCloseTo(Math.cos(length - 1), 6);
    },
  );
});
