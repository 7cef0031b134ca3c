import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { createGateHeads } from "../../../src/kernels/attention/gate-heads.ts";
import { BATCH } from "../../../src/kernels/records.ts";
import { seededRandom } from "../../../src/random.ts";
import { gateHeads } from "../../reference/twins/attention/gate-heads.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

test.each([
  [8, 1],
  [36, 3],
  [2048, 2],
  [264, 128],
])("%i wide, %i rows: gates from shut to open, nothing beyond", async (width, rows) => {
  const random = seededRandom(width + rows);
  const floats = (scale: number) =>
    Float32Array.from({ length: (rows + 1) * width }, () => scale * (2 * random() - 1));
  const [gates, attended] = [floats(20), floats(1)];
  gates.set([-1000, 1000, 0, -90]);
  const buffers = {
    batch: gpu.ledger.uniform("batch", BATCH.pack({ rows, first: 0, splits: 1 })),
    gates: upload(gpu, gates),
    attended: upload(gpu, attended),
  };
  gpu.run([(await createGateHeads(gpu, width))(buffers)(rows)]);
  const found = await readF32(gpu, buffers.attended);
  const expected = gateHeads(gates, attended);
  for (let i = 0; i < rows * width; i += 1)
    expect(Math.abs(found[i]! - expected[i]!), `[${i}]`).toBeLessThan(1e-6);
  expect(found.slice(rows * width)).toEqual(attended.slice(rows * width));
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
});
