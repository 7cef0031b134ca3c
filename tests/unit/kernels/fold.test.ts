import { expect, test } from "vitest";
import { foldStride, ropePosition } from "../../../src/kernels/pages/fold.ts";
import { positionsStepByStep } from "../../reference/twins/pages/kv-fold.ts";

test.each([8, 96, 768])(
  "where tokens stand in closed form is where folds have brought them, S %i",
  (stride) => {
    for (const folds of [0, 1, 2, 3, 7, 20])
      for (const early of [0, 1, stride / 2, stride]) {
        const tokens = 2 * stride + Math.max(1, folds) * stride;
        const expected = positionsStepByStep(tokens, folds, stride, early);
        const found = expected.map((_, i) => ropePosition(i, folds, stride));
        expect(found).toEqual(expected);
      }
  },
);

test("no position reaches the trained length, the last quarter keeps its distances, order stays", () => {
  for (const trained of [64, 2048, 8192, 131072]) {
    const stride = foldStride(trained);
    let folds = 0;
    for (let seen = 0; seen < 6 * trained; seen += Math.ceil(trained / 16) - 1) {
      while (ropePosition(seen, folds, stride) >= trained) folds += 1;
      const next = ropePosition(seen, folds, stride);
      const quarter = Math.floor(trained / 4);
      expect(next - ropePosition(Math.max(0, seen - quarter), folds, stride)).toBe(
        Math.min(seen, quarter),
      );
      const standing = Array.from({ length: 100 }, (_, i) =>
        ropePosition(Math.floor((seen * i) / 100), folds, stride),
      );
      expect(standing).toEqual(standing.toSorted((a, b) => a - b));
      expect(Math.max(...standing, next)).toBeLessThan(trained);
    }
  }
});

test("old positions end at 0 and are turned no more", () => {
  const stride = foldStride(8192);
  const turns = Array.from({ length: 100 }, (_, folds) => folds + 1).filter(
    (folds) => ropePosition(5000, folds, stride) !== ropePosition(5000, folds - 1, stride),
  );
  expect(turns.length).toBeLessThanOrEqual(14);
  expect(ropePosition(5000, 100, stride)).toBe(0);
});
