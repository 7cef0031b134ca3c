import { describe, expect, test } from "vitest";
import { inverseFrequencies } from "../../../src/kernels/rope-table.ts";
import fixture from "../../kernels/fixtures/attention.json" with { type: "json" };
import { attendChunk } from "../../reference/twins/attention/attention-prefill.ts";
import { rotate } from "../../reference/twins/attention/rope.ts";
import type { Pair } from "../../reference/twins/pages/paged-cache.ts";

/** Largest |a - b| of two lists of vectors. */
const difference = (a: readonly ArrayLike<number>[], b: readonly ArrayLike<number>[]) => {
  expect(a.length).toBe(b.length);
  let worst = 0;
  a.forEach((vector, r) => {
    expect(vector.length).toBe(b[r]!.length);
    for (let d = 0; d < vector.length; d += 1) {
      worst = Math.max(worst, Math.abs(vector[d]! - b[r]![d]!));
    }
  });
  return worst;
};

describe("CPU twins of the attention kernels", () => {
  test.each(fixture.attention.map((given, i) => [i, given] as const))(
    "equal torch's scaled_dot_product_attention, case %i",
    (_i, { cached, q, k, v, out }) => {
      q.forEach((queries, h) => {
        const g = Math.floor((h * k.length) / q.length);
        const pairs = k[g]!.map(
          (key, s): Pair => ({
            key: Float32Array.from(key),
            value: Float32Array.from(v[g]![s]!),
            position: s,
            score: 0,
          }),
        );
        const found = attendChunk(queries, pairs.slice(0, cached), pairs.slice(cached)).map(
          ({ out }) => out,
        );
        expect(difference(found, out[h]!)).toBeLessThan(1e-12);
      });
    },
  );

  test.each(fixture.rotary.map((given) => [given.theta, given] as const))(
    "equal transformers' rotary embedding, base %i",
    (_theta, { theta, positions, x, out }) => {
      const found = x.map((head, r) =>
        rotate(head, positions[r]!, inverseFrequencies(head.length, theta)),
      );
      // Theirs is f32: an angle of 2,000 is known to 1e-4.
      expect(difference(found, out)).toBeLessThan(5e-4);
      const near = positions.filter((position) => position < 64).length;
      expect(difference(found.slice(0, near), out.slice(0, near))).toBeLessThan(1e-5);
    },
  );
});
