import reduce from "../../shaders/lib/reduce.wgsl?raw";
import code from "../../shaders/rms_norm.wgsl?raw";
import type { GpuContext } from "../gpu/context.ts";
import { type Dispatch, wgslConstants } from "../gpu/kernel.ts";
import { declareBindings, reads, uniform, writes } from "./bindings.ts";

/** A WGSL f32 literal; 1e-5 must not become an abstract int. */
export const wgslFloat = (value: number): string =>
  Number.isInteger(value) ? `${value}.0f` : `${value}f`;

export interface RmsNormBuffers {
  readonly batch: GPUBuffer;
  /** f32 [first + M, E] */
  readonly x: GPUBuffer;
  /** f32 [E] */
  readonly gain: GPUBuffer;
  /** f32 [M, E] */
  readonly y: GPUBuffer;
}

export interface RmsNorm {
  bind(buffers: RmsNormBuffers): (rows: number) => Dispatch;
}

/** y = x * gain * rsqrt(mean(x^2) + epsilon) over rows of `cols` f32, a multiple of 4; `add`: y += it. */
export async function createRmsNorm(
  gpu: GpuContext,
  config: { readonly cols: number; readonly epsilon: number; readonly add?: boolean },
): Promise<RmsNorm> {
  const bindings = [
    uniform("batch", "Batch"),
    reads("x", "array<vec4<f32>>"),
    reads("gain", "array<vec4<f32>>"),
    writes("y", "array<vec4<f32>>"),
  ];
  const kernel = await gpu.kernel({
    label: "rms_norm",
    code: [
      wgslConstants({ COLS4: config.cols / 4, ADD: config.add ?? false, GROUP: 64 }),
      `const EPSILON = ${wgslFloat(config.epsilon)};`,
      declareBindings(bindings),
      reduce,
      code,
    ],
    bindings: bindings.map(({ access }) => access),
  });
  return {
    bind({ batch, x, gain, y }) {
      const group = kernel.bind(batch, x, gain, y);
      return (rows) => ({ kernel, bindings: group, workgroups: [rows] });
    },
  };
}
