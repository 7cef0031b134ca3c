import { afterAll, beforeAll, expect, test } from "vitest";
import type { AdapterKind } from "../../../src/gpu/adapter-kind.ts";
import type { GpuContext } from "../../../src/gpu/context.ts";
import { BATCH } from "../../../src/kernels/records.ts";
import {
  createDeltaPrompt,
  createDeltaStep,
  type DeltaShape,
  deltaScratchBytes,
  deltaWidth,
  deltaWords,
} from "../../../src/kernels/states/delta-net.ts";
import type { StateRows } from "../../../src/kernels/states/state-rows.ts";
import { seededRandom } from "../../../src/random.ts";
import { deltaNet, deltaNetInChunks } from "../../reference/twins/states/delta-net.ts";
import type { TwinMove } from "../../reference/twins/states/short-conv.ts";
import { readF32, testGpu, upload } from "../gpu.ts";

let gpu: GpuContext;
beforeAll(async () => {
  gpu = await testGpu();
});
afterAll(() => gpu.destroy());

const SLOTS = 6;

const shapeOf = (
  dim: number,
  keyHeads: number,
  valueHeads: number,
  taps: number,
  epsilon = 1e-6,
): DeltaShape => ({ dim, keyHeads, valueHeads, taps, epsilon });

/** Inputs like a layer's: decays from next to nothing to all but all. */
function inputsOf(shape: DeltaShape, rows: number) {
  const random = seededRandom(shape.dim + 10 * shape.valueHeads + rows);
  const floats = (length: number, scale = 1): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length }, () => scale * (2 * random() - 1));
  const rates = Float32Array.from({ length: 2 * shape.valueHeads }, (_, i) =>
    i % 2 === 0 ? -0.02 - 3 * random() ** 4 : 2 * random() - 1,
  );
  const states = floats(SLOTS * deltaWords(shape), 0.5);
  // Heads that share a key have read the same rows of it.
  const [own, head] = [2 * shape.dim, deltaWords(shape) / shape.valueHeads];
  for (let at = 0; at < SLOTS * shape.valueHeads; at += 1) {
    const first = at - (at % shape.valueHeads) + ((at % shape.valueHeads) % shape.keyHeads);
    for (let lag = 0; lag < shape.taps - 1; lag += 1) {
      const row = lag * 3 * shape.dim;
      states.copyWithin(at * head + row, first * head + row, first * head + row + own);
    }
  }
  return {
    projected: floats(rows * deltaWidth(shape), 2),
    taps: floats(shape.taps * (2 * shape.keyHeads + shape.valueHeads) * shape.dim),
    rates,
    gains: floats(shape.dim),
    states,
  };
}

async function run(
  shape: DeltaShape,
  rows: number,
  moves: readonly TwinMove[],
  rowsAre: StateRows,
  inputs: ReturnType<typeof inputsOf>,
  kind?: AdapterKind,
): Promise<{ y: Float32Array; states: Float32Array; beyond: number[] }> {
  const none = 0xffffffff;
  const words = moves.flatMap(({ source = none, to }) => [source, to]);
  const length = rows * shape.valueHeads * shape.dim;
  const bytes = deltaScratchBytes(shape, rows);
  const scratch = (name: keyof typeof bytes) =>
    gpu.ledger.storage("activations", name, bytes[name]);
  const buffers = {
    batch: gpu.ledger.uniform("batch", BATCH.pack({ rows, first: 0, splits: 1 })),
    projected: upload(gpu, inputs.projected),
    taps: upload(gpu, inputs.taps),
    rates: upload(gpu, inputs.rates),
    gains: upload(gpu, inputs.gains),
    states: upload(gpu, inputs.states),
    moves: upload(gpu, Uint32Array.from(words)),
    y: upload(gpu, new Float32Array(length + 4).fill(9)),
    mixed: scratch("mixed"),
    gates: scratch("gates"),
    within: scratch("within"),
  };
  const kernel =
    rowsAre === "serial"
      ? (await createDeltaPrompt(gpu, shape))(buffers)
      : (await createDeltaStep(gpu, shape, rowsAre, undefined, kind))(buffers);
  gpu.run(kernel(rows));
  const y = await readF32(gpu, buffers.y);
  const states = await readF32(gpu, buffers.states);
  for (const buffer of Object.values(buffers)) gpu.ledger.destroy(buffer);
  return { y: y.subarray(0, length), states, beyond: [...y.subarray(length)] };
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i += 1) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
};

/** [D, key heads, value heads, K] */
const SHAPES = [
  shapeOf(4, 1, 2, 2),
  shapeOf(12, 3, 6, 4),
  shapeOf(24, 2, 2, 4, 1e-3),
  shapeOf(36, 1, 4, 7),
  shapeOf(128, 2, 4, 4),
  shapeOf(256, 1, 2, 4),
];
/** Reads its state and writes another, begins with none, and writes where it read. */
const MOVES: Record<StateRows, (rows: number) => TwinMove[]> = {
  serial: (rows) => [{ source: rows % 3 === 1 ? undefined : 2, to: rows % 2 ? 2 : 5 }],
  apart: (rows) =>
    Array.from({ length: rows }, (_, m) => ({ source: m % 3 === 1 ? undefined : m, to: m })),
  each: (rows) => Array.from({ length: rows }, (_, m) => ({ source: m === 0 ? 5 : m - 1, to: m })),
};
const ROWS: Record<StateRows, readonly number[]> = {
  serial: [1, 2, 3, 31, 32, 33, 64, 97, 128],
  apart: [1, 4],
  each: [1, 4],
};
/** Prompts have the same kernels on either kind of adapter. */
const KINDS: readonly (readonly [StateRows, AdapterKind])[] = [
  ["serial", "gpu"],
  ["apart", "gpu"],
  ["apart", "cpu"],
  ["each", "gpu"],
  ["each", "cpu"],
];
const cases = SHAPES.flatMap((shape) =>
  KINDS.flatMap(([rowsAre, kind]) =>
    ROWS[rowsAre]
      .filter((rows) => shape.dim < 100 || rows < 40)
      .map((rows) => {
        const { dim, keyHeads, valueHeads, taps } = shape;
        return [dim, keyHeads, valueHeads, taps, rowsAre, kind, rows, shape] as const;
      }),
  ),
);

test.each(cases)(
  "D %i, heads %i and %i, K %i, %s, for a %s: %i rows",
  async (...[, , , , rowsAre, kind, rows, shape]) => {
    const inputs = inputsOf(shape, rows);
    const moves = MOVES[rowsAre](rows);
    const found = await run(shape, rows, moves, rowsAre, inputs, kind);
    const expected = deltaNet(inputs, shape, moves, rowsAre);
    expect(found.beyond, "nothing is written beyond").toEqual([9, 9, 9, 9]);
    expect(largest(found.y, expected)).toBeLessThan(1e-4);
    expect(largest(found.states, inputs.states)).toBeLessThan(1e-4);
  },
);

test("chunks are the rule row by row, whatever their size", () => {
  const shape = shapeOf(12, 3, 6, 4);
  for (const rows of [1, 5, 64, 70]) {
    const move = { source: 1, to: 3 };
    const [one, other] = [inputsOf(shape, rows), inputsOf(shape, rows)];
    const expected = deltaNet(one, shape, [move], "serial");
    for (const size of [1, 7, 32]) {
      const chunked = structuredClone(other);
      expect(largest(deltaNetInChunks(chunked, shape, move, size), expected)).toBeLessThan(1e-5);
      expect(largest(chunked.states, one.states)).toBeLessThan(1e-5);
    }
  }
});

test.each(["cpu", "gpu"] as const)(
  "a draft's rows have the bits of single tokens, for a %s",
  async (kind) => {
    const shape = shapeOf(128, 2, 4, 4);
    const rows = 4;
    const inputs = inputsOf(shape, rows);
    const together = await run(shape, rows, MOVES.each(rows), "each", inputs, kind);
    let states: Float32Array = inputs.states;
    const width = deltaWidth(shape);
    for (let m = 0; m < rows; m += 1) {
      const projected = inputs.projected.slice(m * width, (m + 1) * width);
      const one = { ...inputs, projected, states: states as Float32Array<ArrayBuffer> };
      const alone = await run(shape, 1, [MOVES.each(rows)[m]!], "apart", one, kind);
      states = alone.states;
      const length = shape.valueHeads * shape.dim;
      expect(alone.y).toEqual(together.y.slice(m * length, (m + 1) * length));
    }
    expect(states).toEqual(together.states);
  },
);
