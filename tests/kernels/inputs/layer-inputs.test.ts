import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import {
  createFinishLayer,
  createGateInputs,
  createLayerInputs,
} from "../../../src/kernels/inputs/layer-inputs.ts";
import { BATCH } from "../../../src/kernels/records.ts";
import { seededRandom } from "../../../src/random.ts";
import { finishLayer, gateInputs, layerInputs } from "../../reference/twins/inputs/layer-inputs.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const random = seededRandom(4);
const floats = (length: number, scale = 2) =>
  Float32Array.from({ length }, () => scale * (2 * random() - 1));

const expectClose = (found: Float32Array, expected: Float32Array): void => {
  expect(found.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i += 1)
    expect(Math.abs(found[i]! - expected[i]!), `[${i}]`).toBeLessThan(1e-5);
};

/** [layers, size, room for rows, rows] */
test.each([
  [3, 12, 8, 5],
  [35, 256, 4, 1],
  [2, 4, 128, 128],
])("inputs of %i layers of %i, room for %i rows, %i rows", async (layers, size, room, rows) => {
  const shape = { layers, size, rows: room, scale: 0.3, epsilon: 1e-3 };
  const [x, table] = [floats(rows * layers * size), floats(rows * layers * size)];
  const [gain, before] = [floats(size), floats(layers * room * size)];
  const buffers = {
    x: upload(gpu, x),
    gain: upload(gpu, gain),
    table: upload(gpu, table),
    inputs: upload(gpu, before),
  };
  gpu.run([(await createLayerInputs(gpu, shape))(buffers)(rows)]);
  const found = await readF32(gpu, buffers.inputs);
  expectClose(found, layerInputs(x, gain, table, before, rows, shape));
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
});

test.each([
  [12, 1],
  [256, 3],
  [4, 128],
])("gates of %i inputs, %i rows: from shut to open, nothing beyond", async (size, rows) => {
  const [inputs, y] = [floats((rows + 1) * size), floats((rows + 1) * size, 6)];
  y.set([1000, -1000, 0, 40]);
  const buffers = {
    batch: gpu.ledger.uniform("batch", BATCH.pack({ rows, first: 0, splits: 1 })),
    inputs: upload(gpu, inputs),
    y: upload(gpu, y),
  };
  gpu.run([(await createGateInputs(gpu, size))(buffers)(rows)]);
  const found = await readF32(gpu, buffers.y);
  const expected = gateInputs(y, inputs).map((value, i) => (i < rows * size ? value : y[i]!));
  for (let i = 0; i < expected.length; i += 1)
    expect(Math.abs(found[i]! - expected[i]!), `[${i}]`).toBeLessThan(
      1e-5 * Math.max(1, Math.abs(expected[i]!)),
    );
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
});

test.each([
  [76, 3],
  [1536, 1],
  [5, 129],
])("the end of a layer of %i, %i rows, nothing beyond", async (cols, rows) => {
  const [hidden, x, gain] = [floats((rows + 1) * cols), floats((rows + 1) * cols), floats(cols)];
  const buffers = {
    x: upload(gpu, x),
    gain: upload(gpu, gain),
    factor: upload(gpu, Float32Array.of(0.7)),
    hidden: upload(gpu, hidden),
  };
  gpu.run([(await createFinishLayer(gpu, { cols, epsilon: 1e-3 }))(buffers)(rows)]);
  const found = await readF32(gpu, buffers.hidden);
  const all = finishLayer(hidden, x, gain, Math.fround(0.7), 1e-3);
  expectClose(
    found,
    all.map((value, i) => (i < rows * cols ? value : hidden[i]!)),
  );
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
});
