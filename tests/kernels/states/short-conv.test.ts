import { afterAll, beforeAll, expect, test } from "vitest";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { BATCH } from "../../../src/kernels/records.ts";
import { createShortConv } from "../../../src/kernels/states/short-conv.ts";
import type { StateRows } from "../../../src/kernels/states/state-rows.ts";
import { seededRandom } from "../../../src/random.ts";
import { shortConv, type TwinMove } from "../../reference/twins/states/short-conv.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const SLOTS = 8;
/** Reads its state and writes another, begins with none, and writes where it read. */
const MOVES: Record<StateRows, (rows: number) => TwinMove[]> = {
  serial: () => [{ source: 2, to: 5 }],
  apart: (rows) =>
    Array.from({ length: rows }, (_, m) => ({ source: m % 3 === 1 ? undefined : m, to: m })),
  each: (rows) => Array.from({ length: rows }, (_, m) => ({ source: m === 0 ? 7 : m - 1, to: m })),
};

/** [E, K, rows] */
const shapes: readonly [channels: number, taps: number, rows: number][] = [
  [4, 3, 1],
  [76, 3, 2],
  [76, 2, 7],
  [260, 4, 5],
  [2048, 3, 3],
  [64, 7, 4],
];
const cases = (["serial", "apart", "each"] as const).flatMap((rowsAre) => [
  ...shapes.map((shape) => [rowsAre, ...shape, MOVES[rowsAre](shape[2])] as const),
]);

test.each([
  ...cases,
  ["serial", 132, 3, 128, [{ source: 3, to: 3 }]] as const,
  ["serial", 132, 3, 33, [{ source: undefined, to: 0 }]] as const,
  ["serial", 8, 5, 2, [{ source: undefined, to: 1 }]] as const,
])("%s: E %i, K %i, %i rows", async (rowsAre, channels, taps, rows, moves) => {
  const random = seededRandom(channels + taps + rows);
  const floats = (length: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length }, () => 2 * random() - 1);
  const [projected, weights] = [floats(rows * 3 * channels), floats(taps * channels)];
  const states = floats(SLOTS * (taps - 1) * channels);
  const none = 0xffffffff;
  const words = moves.flatMap(({ source = none, to }) => [source, to]);
  const buffers = {
    batch: gpu.ledger.uniform("batch", BATCH.pack({ rows, first: 0, splits: 1 })),
    projected: upload(gpu, projected),
    taps: upload(gpu, weights),
    moves: upload(gpu, Uint32Array.from(words)),
    states: upload(gpu, states),
    y: upload(gpu, new Float32Array(rows * channels + 4).fill(9)),
  };
  const kernel = await createShortConv(gpu, { channels, taps }, rowsAre);
  gpu.run([kernel(buffers)(rows)]);
  const expected = shortConv(projected, weights, states, moves, rowsAre, channels);
  const y = await readF32(gpu, buffers.y);
  expect([...y.subarray(rows * channels)], "nothing is written beyond").toEqual([9, 9, 9, 9]);
  expected.forEach((value, i) => {
    expect(Math.abs(y[i]! - value), `y[${i}]`).toBeLessThan(1e-5);
  });
  expect(await readF32(gpu, buffers.states)).toEqual(states);
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
});
