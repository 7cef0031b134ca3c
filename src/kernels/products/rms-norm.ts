import code from "../../../shaders/products/rms_norm.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type Dispatch, wgslConstants, wgslFloat } from "../../gpu/kernel.ts";
import { onProcessors } from "../by-adapter.ts";
import { declareBindings, reads, uniform, writes } from "./bindings.ts";

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
  const form =
    gpu.kind === "cpu"
      ? (await onProcessors()).serialNorm(gpu)
      : { header: "", group: 64, code, rows: 1 };
  const kernel = await gpu.kernel({
    label: `rms_norm${gpu.kind === "cpu" ? " serial" : ""}`,
    code: [
      form.header,
      wgslConstants({ COLS4: config.cols / 4, ADD: config.add ?? false, GROUP: form.group }),
      `const EPSILON = ${wgslFloat(config.epsilon)};`,
      declareBindings(bindings),
      ...form.code,
    ],
  });
  return {
    bind({ batch, x, gain, y }) {
      const one = kernel.dispatch({ batch, x, gain, y }, [1]);
      return (rows) => ({ ...one, workgroups: [Math.ceil(rows / form.rows)] });
    },
  };
}
