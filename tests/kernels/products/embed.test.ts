import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createEmbed } from "../../../src/kernels/products/embed.ts";
import {
  destroyMatrix,
  uploadMatrix,
  type WeightMatrix,
} from "../../../src/kernels/products/weights.ts";
import { embed } from "../../reference/twins/products/embed.ts";
import { readF32, testGpu, upload } from "../gpu.ts";
import { ALL_TYPES, bindingOf16Rows, randomTensor } from "./random-tensor.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

async function lookUp(matrix: WeightMatrix, tokens: readonly number[], first = 0) {
  const kernel = await createEmbed(gpu, matrix);
  const batch = gpu.ledger.uniform("batch", new Uint32Array([tokens.length, first, 0, 0]));
  const padded = [...Array<number>(first).fill(0), ...tokens];
  const rows = upload(gpu, Uint32Array.from(padded.flatMap((token) => [token, 7, 7, 7])));
  const y = upload(gpu, new Float32Array(tokens.length * matrix.cols).fill(-3));
  gpu.run(kernel.bind({ batch, rows, y }).dispatches(tokens.length));
  return readF32(gpu, y);
}

/** NaN-free comparison of bits, but for the sign of zero. */
const plusZero = (values: Float32Array) => values.map((value) => value + 0);

describe("embed", () => {
  it.each(ALL_TYPES)(
    "gives the weights of %s bit for bit, in parts that a binding holds",
    async (type) => {
      const { source, values } = randomTensor(type, 37, 768, 11);
      const maxBindingBytes = bindingOf16Rows(type, 768);
      const matrix = await uploadMatrix(gpu, type, [source], "stack", {
        maxBindingBytes,
        wideScales: true,
      });
      expect(matrix.parts.map(({ rows }) => rows)).toEqual([16, 16, 5]);
      const tokens = Array.from({ length: 37 }, (_, i) => (i * 23) % 37);
      const y = await lookUp(matrix, tokens);
      expect(plusZero(y)).toEqual(plusZero(embed(values, 768, tokens)));
      destroyMatrix(gpu, matrix);
    },
  );

  it("takes widths that are no multiple of 32", async () => {
    for (const type of ["F32", "F16", "BF16"] as const)
      for (const cols of [4, 36, 100]) {
        const { source, values } = randomTensor(type, 5, cols, cols);
        const matrix = await uploadMatrix(gpu, type, [source]);
        expect(await lookUp(matrix, [4, 0, 2, 2])).toEqual(embed(values, cols, [4, 0, 2, 2]));
      }
  });

  it("looks up across parts, from batch.first, and ignores tokens past the vocabulary", async () => {
    const { source, values } = randomTensor("Q8_0", 100, 64, 3);
    const matrix = await uploadMatrix(gpu, "head", [source], "stack", { maxBindingBytes: 32 * 64 });
    expect(matrix.parts.map(({ rows }) => rows)).toEqual([32, 32, 32, 4]);
    const tokens = [99, 0, 31, 32, 95, 96];
    expect(plusZero(await lookUp(matrix, tokens, 2))).toEqual(plusZero(embed(values, 64, tokens)));
    const beyond = await lookUp(matrix, [100, 4_000_000_000]);
    expect(beyond).toEqual(new Float32Array(128).fill(-3));
  });
});
