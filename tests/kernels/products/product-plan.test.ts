import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createAttentionCombine } from "../../../src/kernels/attention/attention.ts";
import { MAX_SPLITS } from "../../../src/kernels/attention/attention-tiling.ts";
import { createLinear } from "../../../src/kernels/products/linear.ts";
import { PLANS, TILES, type TileVariant } from "../../../src/kernels/products/product-plan.ts";
import { uploadMatrix } from "../../../src/kernels/products/weights.ts";
import { readF32, testGpu, upload } from "../gpu.ts";
import { checkProduct } from "./product-case.ts";
import { randomFloats, randomTensor } from "./random-tensor.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const product = (n: number, k: number, type: "Q4_0" | "Q4_1" | "Q8_0" = "Q4_1") => {
  const { source, values } = randomTensor(type, n, k, n + k);
  return { sources: [source], weights: values };
};

describe("every variant that a plan may name", () => {
  it.each(Object.keys(TILES) as TileVariant[])("tiles of %s", async (tile) => {
    await checkProduct(gpu, { ...product(45, 576), rows: 13, shape: { row: "rows", tile } });
  });
});

it("a product that joins attention's splits gives what combine and product give", async () => {
  const [heads, headDim, n] = [6, 32, 45];
  const k = heads * headDim;
  const matrix = await uploadMatrix(gpu, "W", product(n, k).sources);
  const shape = { layers: 1, heads, kvHeads: 2, headDim };
  const combine = await createAttentionCombine(gpu, shape, "tiles");
  const config = { matrix, epilogue: "add", shape: PLANS["split-k"], rows: [1] } as const;
  const plain = await createLinear(gpu, config);
  const joins = { heads, headDim, maxSplits: MAX_SPLITS };
  const joined = await createLinear(gpu, { ...config, joins });
  for (const splits of [1, 3, 8]) {
    const partials = randomFloats(heads * MAX_SPLITS * (headDim + 2), splits, 4);
    // The second of a split's numbers is a sum of exponentials.
    for (let at = 1; at < partials.length; at += headDim + 2)
      partials[at] = 1 + Math.abs(partials[at]!);
    const batch = gpu.ledger.uniform("batch", new Uint32Array([1, 0, splits, 0]));
    const input = upload(gpu, partials);
    const attended = upload(gpu, new Float32Array(k));
    const before = randomFloats(n, 3);
    const [one, two] = [upload(gpu, before), upload(gpu, before)];
    gpu.run([
      combine.dispatch({ batch, partials: input, out: attended }, [heads, 1]),
      ...plain.bind({ batch, x: attended, y: one }).dispatches(1),
      ...joined.bind({ batch, x: input, y: two }).dispatches(1),
    ]);
    const [apart, together] = [await readF32(gpu, one), await readF32(gpu, two)];
    expect(together).toEqual(apart);
    expect(apart).not.toEqual(before);
  }
  gpu.ledger.destroyAll();
});

describe.each(["row-tiles", "split-k"] as const)("rows as alone, %s", (name) => {
  it.each(["Q4_1", "Q8_0"] as const)("%s: each row has the bits of a row alone", async (type) => {
    const [n, k, rows] = [45, 576, 5];
    const matrix = await uploadMatrix(gpu, "W", product(n, k, type).sources);
    const norm = { gain: upload(gpu, randomFloats(k, 5, 2)), epsilon: 1e-5 };
    const config = { matrix, epilogue: "store", norm, shape: PLANS[name] } as const;
    const x = randomFloats(rows * k, 3);
    const run = async (asAlone: boolean, count: number, input: Float32Array) => {
      const linear = await createLinear(gpu, { ...config, asAlone, rows: [count] });
      const y = upload(gpu, new Float32Array(count * n));
      const normed = gpu.ledger.storage("activations", "normed", count * k * 4);
      const batch = gpu.ledger.uniform("batch", new Uint32Array([count, 0, 0, 0]));
      gpu.run(linear.bind({ batch, x: upload(gpu, input), y, normed }).dispatches(count));
      return readF32(gpu, y);
    };
    const together = await run(true, rows, x);
    for (let m = 0; m < rows; m += 1) {
      const alone = await run(false, 1, x.slice(m * k, (m + 1) * k));
      expect(together.slice(m * n, (m + 1) * n)).toEqual(alone);
    }
    gpu.ledger.destroyAll();
  });

  it("equals the twin, gates and adds", async () => {
    const common = { shape: PLANS[name], asAlone: true } as const;
    await checkProduct(gpu, { ...product(45, 576), ...common, rows: 5, norm: true, first: 2 });
    await checkProduct(gpu, { ...product(45, 576), ...common, rows: 7, epilogue: "add" });
  });
});
