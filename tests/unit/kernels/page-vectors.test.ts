import { describe, expect, test } from "vitest";
import { chunkFormat, pageWords, slotBytes } from "../../../src/kernels/pages/page-format.ts";
import fixture from "../../kernels/fixtures/pages-q8.json" with { type: "json" };
import {
  loadVector,
  q8Codes,
  q8Scale,
  storeVector,
} from "../../reference/twins/pages/page-vectors.ts";

describe("q8 pages", () => {
  test.each(fixture.map((given) => [given.name, given] as const))(
    "scale and codes are NumPy's: %s",
    (_name, { x, scale, codes }) => {
      expect(q8Scale(x)).toBe(scale);
      expect([...q8Codes(x, scale)].map((code) => code + 0)).toEqual(codes);
    },
  );

  test.each(fixture.map((given) => [given.name, given] as const))(
    "are read back within half a step: %s",
    (_name, { x, scale }) => {
      const read = loadVector(storeVector(x, "q8"), "q8");
      const worst = x.reduce((most, v, d) => Math.max(most, Math.abs(v - read[d]!)), 0);
      // Below 2^-100 the step is what the vector is.
      expect(worst).toBeLessThanOrEqual(scale === 0 ? 2 ** -100 : 0.5001 * scale);
    },
  );
});

describe("bytes of a slot", () => {
  test.each([
    ["f16", 64, 4 * 64 + 8],
    ["q8", 64, 2 * 64 + 12],
    ["f32", 64, 8 * 64 + 8],
    ["q8", 24, 60],
    ["q8", 256, 524],
  ] as const)("%s, D %i", (storage, headDim, bytes) => {
    expect(slotBytes({ headDim, storage })).toBe(bytes);
    expect(pageWords({ headDim, storage })).toBe(8 * bytes);
  });

  test("a prompt's chunk is never coarser than f16", () => {
    const formats = (["f16", "q8", "f32"] as const).map((storage) => ({ headDim: 64, storage }));
    expect(formats.map((format) => chunkFormat(format).storage)).toEqual(["f16", "f16", "f32"]);
  });
});
