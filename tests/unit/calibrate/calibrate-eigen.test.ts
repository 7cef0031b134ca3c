import { EigenvalueDecomposition, Matrix } from "ml-matrix";
import { describe, expect, it } from "vitest";
import { leadingEigenvector } from "../../../calibrate/queries/eigen.ts";
import { gramMatrix } from "../../../calibrate/queries/gram.ts";
import { seededRandom } from "../../../src/random.ts";

/** A symmetric matrix with the given eigenvalues on a random orthonormal basis; and the basis. */
function withEigenvalues(values: number[], seed: number): { matrix: Float64Array; basis: Matrix } {
  const dim = values.length;
  const random = seededRandom(seed);
  const noise = new Matrix(Array.from({ length: dim }, () => Array.from({ length: dim }, random)));
  const symmetric = noise.clone().add(noise.transpose());
  const basis = new EigenvalueDecomposition(symmetric, { assumeSymmetric: true }).eigenvectorMatrix;
  const matrix = basis.mmul(Matrix.diag(values)).mmul(basis.transpose());
  return { matrix: Float64Array.from(matrix.to1DArray()), basis };
}

const cosine = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return ab / Math.sqrt(aa * bb);
};

describe("leadingEigenvector", () => {
  it.each([1, 2, 3, 16, 64])("equals ml-matrix on a random Gram matrix, D = %i", (dim) => {
    const random = seededRandom(dim);
    const rows = Float32Array.from({ length: 100 * dim }, () => random() - 0.3);
    const matrix = gramMatrix({ data: rows, count: 100, offset: 0, stride: dim }, dim);
    const q = Matrix.from1DArray(100, dim, Array.from(rows));
    const gram = q.transpose().mmul(q);
    expect(cosine(matrix, gram.to1DArray())).toBeCloseTo(1, 12);
    const evd = new EigenvalueDecomposition(gram, { assumeSymmetric: true });
    const { vector, value, share } = leadingEigenvector(matrix, dim);
    expect(value / evd.realEigenvalues[dim - 1]!).toBeCloseTo(1, 10);
    expect(share).toBeCloseTo(value / gram.trace(), 10);
    const expected = evd.eigenvectorMatrix.getColumn(dim - 1);
    expect(Math.abs(cosine(vector, expected))).toBeGreaterThan(1 - 1e-12);
    expect(Math.hypot(...vector)).toBeCloseTo(1, 12);
  });

  it.each([1e-2, 1e-4, 1e-6, 1e-8])("resolves a relative gap of %d", (gap) => {
    const values = [...Array.from({ length: 14 }, (_, i) => 0.05 * i), 1 - gap, 1];
    const { matrix, basis } = withEigenvalues(values, 5);
    const { vector, value } = leadingEigenvector(matrix, 16);
    // Rounding of the matrix itself turns the direction by about 1e-16 / gap.
    expect(1 - Math.abs(cosine(vector, basis.getColumn(15)))).toBeLessThan(1e-12);
    expect(value).toBeCloseTo(1, 12);
  });

  it("returns a vector of the leading plane when two eigenvalues are equal", () => {
    const { matrix, basis } = withEigenvalues([0.1, 0.2, 0.3, 1, 1], 9);
    const { vector, value } = leadingEigenvector(matrix, 5);
    const inPlane =
      cosine(vector, basis.getColumn(3)) ** 2 + cosine(vector, basis.getColumn(4)) ** 2;
    expect(inPlane).toBeCloseTo(1, 12);
    expect(value).toBeCloseTo(1, 12);
  });

  it("takes very small and very large scales", () => {
    for (const scale of [1e-150, 1e150]) {
      const { matrix, basis } = withEigenvalues([0.2, 0.5, 1], 3);
      const { vector, share } = leadingEigenvector(
        matrix.map((x) => x * scale),
        3,
      );
      expect(Math.abs(cosine(vector, basis.getColumn(2)))).toBeCloseTo(1, 12);
      expect(share).toBeCloseTo(1 / 1.7, 10);
    }
  });

  it("refuses what has no direction", () => {
    const code = expect.objectContaining({ code: "invalid_argument" });
    expect(() => leadingEigenvector(new Float64Array(9), 3)).toThrow(code);
    expect(() => leadingEigenvector(Float64Array.of(1, Number.NaN, Number.NaN, 1), 2)).toThrow(
      code,
    );
    expect(() => leadingEigenvector(Float64Array.of(Infinity, 0, 0, 1), 2)).toThrow(code);
  });
});
