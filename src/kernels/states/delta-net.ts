/** Kernels of gated DeltaNet layers (arXiv 2412.06464): one dispatch for single tokens, four for a prompt's rows. */
import finish from "../../../shaders/states/delta_finish.wgsl";
import prepare from "../../../shaders/states/delta_rows.wgsl";
import scan from "../../../shaders/states/delta_scan.wgsl";
import step from "../../../shaders/states/delta_step.wgsl";
import serialStep from "../../../shaders/states/delta_step_serial.wgsl";
import within from "../../../shaders/states/delta_within.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import {
  type BufferBinding,
  type Dispatch,
  type Stage,
  type Wgsl,
  wgslConstants,
  wgslFloat,
} from "../../gpu/kernel.ts";
import { unroll } from "../unroll.ts";
import type { StateRows } from "./state-rows.ts";

export interface DeltaShape {
  /** D of keys and values, a multiple of 4 up to 256 */
  readonly dim: number;
  readonly keyHeads: number;
  /** An even multiple of keyHeads, or as many where these are even */
  readonly valueHeads: number;
  /** K: how many rows the convolution sees, its own included */
  readonly taps: number;
  /** Of the norm of what is read. */
  readonly epsilon: number;
}

export interface DeltaBuffers {
  /** Uniform Batch. */
  readonly batch: BufferBinding;
  /** f32 [M, deltaWidth]: q, k, v, z, beta, alpha */
  readonly projected: BufferBinding;
  /** f32 [K, channels of q, k and v], the newest row's first */
  readonly taps: BufferBinding;
  /** f32 [value heads, 2]: rate (below 0), bias of the step */
  readonly rates: BufferBinding;
  /** f32 [D] */
  readonly gains: BufferBinding;
  /** Move [M], or one where the rows are serial. */
  readonly moves: BufferBinding;
  /** f32 [slots, deltaWords] */
  readonly states: BufferBinding;
  /** f32 [M, value heads, D] */
  readonly y: BufferBinding;
}

/** What a prompt's kernels leave for each other. */
export interface DeltaScratch {
  /** f32 [M, channels of q, k and v] */
  readonly mixed: GPUBuffer;
  /** f32 [M, value heads, 2] */
  readonly gates: GPUBuffer;
  /** f32 [chunks, value heads, 2, CHUNK, CHUNK] */
  readonly within: GPUBuffer;
}

type Sizes = Pick<DeltaShape, "dim" | "keyHeads" | "valueHeads" | "taps">;

/** Rows of a prompt that are computed at once, whatever they are to each other. */
const CHUNK = 32;
/** Invocations of kernels whose workgroups take a head of several rows, and most of those that step. */
const GROUP = 64;
const MOST_SLICES = 8;
const MOST_INVOCATIONS = 256;

/** Channels of the convolution. */
export const deltaChannels = ({ dim, keyHeads, valueHeads }: Sizes): number =>
  (2 * keyHeads + valueHeads) * dim;

/** Floats per row of `projected`. */
export const deltaWidth = (sizes: Sizes): number =>
  deltaChannels(sizes) + sizes.valueHeads * (sizes.dim + 2);

/** f32 words of a layer's state. */
export const deltaWords = ({ dim, valueHeads, taps }: Sizes): number =>
  valueHeads * dim * (3 * (taps - 1) + dim);

/** Bytes of each scratch buffer of a prompt's kernels, for `rows` rows. */
export const deltaScratchBytes = (sizes: Sizes, rows: number) => ({
  mixed: rows * deltaChannels(sizes) * 4,
  gates: rows * sizes.valueHeads * 8,
  within: Math.ceil(rows / CHUNK) * sizes.valueHeads * 2 * CHUNK * CHUNK * 4,
});

const constantsOf = ({ dim, keyHeads, valueHeads, taps }: DeltaShape) => ({
  QUADS: dim / 4,
  K_HEADS: keyHeads,
  V_HEADS: valueHeads,
  LAGS: taps - 1,
});

/**
 * Dispatches that take single tokens through: each of another sequence, or with the state behind every one kept. `kind`: the
 * adapter's, but in tests.
 */
export async function createDeltaStep(
  gpu: GpuContext,
  shape: DeltaShape,
  rowsAre: Exclude<StateRows, "serial">,
  stage?: Stage,
  kind = gpu.kind,
): Promise<(buffers: DeltaBuffers) => (rows: number) => Dispatch[]> {
  const quads = shape.dim / 4;
  const most = Math.min(MOST_SLICES, Math.floor(MOST_INVOCATIONS / quads));
  const slices =
    most - Array.from({ length: most }, (_, i) => most - i).findIndex((n) => quads % n === 0);
  const each = rowsAre === "each";
  const kernel = await gpu.kernel({
    label: `delta_step ${rowsAre}${kind === "cpu" ? " serial" : ""}`,
    code: [
      wgslConstants({
        ...constantsOf(shape),
        SLICES: slices,
        SLICE4: quads / slices,
        EACH: each,
      }),
      `const EPSILON = ${wgslFloat(shape.epsilon)};`,
      ...(kind === "cpu" ? serialStep : unroll(step, { i: quads / slices })),
    ],
    stage,
  });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => [{ ...one, workgroups: [shape.valueHeads, each ? 1 : rows] }];
  };
}

/** Dispatches that take rows of one sequence through, in chunks whose rows are computed at once. */
export async function createDeltaPrompt(
  gpu: GpuContext,
  shape: DeltaShape,
  stage?: Stage,
): Promise<(buffers: DeltaBuffers & DeltaScratch) => (rows: number) => Dispatch[]> {
  const quads = shape.dim / 4;
  const groupRows = Math.max(1, Math.floor(GROUP / quads));
  const constants = wgslConstants({
    ...constantsOf(shape),
    CHUNK,
    GROUP_ROWS: groupRows,
    ROUNDS: Math.ceil(quads / 8),
  });
  const kernel = (label: string, code: Wgsl) =>
    gpu.kernel({
      label,
      code: [
        constants,
        `const EPSILON = ${wgslFloat(shape.epsilon)};`,
        ...unroll(code, { i: 4, n: Math.ceil(quads / 8) }),
      ],
      stage,
    });
  const [first, second, third, last] = await Promise.all([
    kernel("delta_rows", prepare),
    kernel("delta_within", within),
    kernel("delta_scan", scan),
    kernel("delta_finish", finish),
  ]);
  const { keyHeads, valueHeads } = shape;
  return (buffers) => {
    const [prepares, relates, scans, ends] = [first, second, third, last].map((each) =>
      each.dispatch(buffers, [1]),
    );
    return (rows) => {
      const groups = Math.ceil(rows / groupRows);
      return [
        { ...prepares!, workgroups: [2 * keyHeads + valueHeads, groups] },
        { ...relates!, workgroups: [valueHeads, Math.ceil(rows / CHUNK)] },
        { ...scans!, workgroups: [valueHeads, Math.ceil(quads / 8)] },
        { ...ends!, workgroups: [valueHeads, groups] },
      ];
    };
  };
}
