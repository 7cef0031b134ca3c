import code from "../../../shaders/states/short_conv.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, type Stage, wgslConstants } from "../../gpu/kernel.ts";
import { unroll } from "../unroll.ts";
import type { StateRows } from "./state-rows.ts";

export interface ShortConvBuffers {
  /** Uniform Batch. */
  readonly batch: BufferBinding;
  /** f32 [M, 3, E]: B, C and x. */
  readonly projected: BufferBinding;
  /** f32 [K, E], the newest row's first. */
  readonly taps: BufferBinding;
  /** Move [M], or one where the rows are serial. */
  readonly moves: BufferBinding;
  /** f32 [slots, K - 1, E] */
  readonly states: BufferBinding;
  /** f32 [M, E] */
  readonly y: BufferBinding;
}

/** Dispatches that take `rows` rows through. */
export type ShortConv = (buffers: ShortConvBuffers) => (rows: number) => Dispatch;

const GROUP = 64;

/** A gated short convolution over `taps` rows of `channels` f32, a multiple of 4. */
export async function createShortConv(
  gpu: GpuContext,
  { channels, taps }: { readonly channels: number; readonly taps: number },
  rowsAre: StateRows,
  stage?: Stage,
): Promise<ShortConv> {
  const serial = rowsAre !== "apart";
  const kernel = await gpu.kernel({
    label: `short_conv ${rowsAre}`,
    code: [
      wgslConstants({
        CHANNELS4: channels / 4,
        LAGS: taps - 1,
        SERIAL: serial,
        EACH: rowsAre === "each",
      }),
      ...unroll(code, { i: taps - 1 }),
    ],
    stage,
  });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => ({
      ...one,
      workgroups: [Math.ceil(channels / 4 / GROUP), serial ? 1 : rows],
    });
  };
}
