/** What per-layer embeddings give each layer (Gemma 4), and how a layer takes it. */
import finish from "../../../shaders/inputs/finish_layer.wgsl";
import gate from "../../../shaders/inputs/gate_inputs.wgsl";
import inputs from "../../../shaders/inputs/layer_inputs.wgsl";
import type { GpuContext } from "../../gpu/context.ts";
import { type BufferBinding, type Dispatch, wgslConstants, wgslFloat } from "../../gpu/kernel.ts";

const GROUP = 64;

type Rows = (rows: number) => Dispatch;

export interface LayerInputsBuffers {
  /** f32 [M, layers, size]: what is made of a token's embedding */
  readonly x: BufferBinding;
  /** f32 [size] */
  readonly gain: BufferBinding;
  /** f32 [M, layers, size]: rows of the table */
  readonly table: BufferBinding;
  /** f32 [layers, rows, size]: what the layers take */
  readonly inputs: BufferBinding;
}

/** inputs = (norm(scale x) * gain + table) / sqrt(2), of `layers` layers; `rows`: those that each layer's part has room for. */
export async function createLayerInputs(
  gpu: GpuContext,
  shape: { layers: number; size: number; rows: number; scale: number; epsilon: number },
): Promise<(buffers: LayerInputsBuffers) => Rows> {
  const { layers, size, rows: room, scale, epsilon } = shape;
  const kernel = await gpu.kernel({
    label: "layer_inputs",
    code: [
      wgslConstants({ LAYERS: layers, SIZE: size, ROWS: room, GROUP }),
      `const SCALE = ${wgslFloat(scale)};\nconst EPSILON = ${wgslFloat(epsilon)};`,
      ...inputs,
    ],
  });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => ({ ...one, workgroups: [layers, rows] });
  };
}

export interface GateInputsBuffers {
  readonly batch: BufferBinding;
  /** f32 [M, size], of one layer */
  readonly inputs: BufferBinding;
  /** f32 [M, size] */
  readonly y: BufferBinding;
}

/** y = gelu(y) * inputs. */
export async function createGateInputs(
  gpu: GpuContext,
  size: number,
): Promise<(buffers: GateInputsBuffers) => Rows> {
  const code = [wgslConstants({ SIZE: size, GELU: true }), ...gate];
  const kernel = await gpu.kernel({ label: "gate_inputs", code });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => ({ ...one, workgroups: [Math.ceil((rows * size) / GROUP)] });
  };
}

export interface FinishLayerBuffers {
  /** f32 [M, cols] */
  readonly x: BufferBinding;
  /** f32 [cols] */
  readonly gain: BufferBinding;
  /** f32 [1] */
  readonly factor: BufferBinding;
  /** f32 [M, cols] */
  readonly hidden: BufferBinding;
}

/** hidden = (hidden + norm(x) * gain) * factor, over rows of `cols`. */
export async function createFinishLayer(
  gpu: GpuContext,
  { cols, epsilon }: { cols: number; epsilon: number },
): Promise<(buffers: FinishLayerBuffers) => Rows> {
  const kernel = await gpu.kernel({
    label: "finish_layer",
    code: [
      wgslConstants({ COLS: cols, GROUP }),
      `const EPSILON = ${wgslFloat(epsilon)};`,
      ...finish,
    ],
  });
  return (buffers) => {
    const one = kernel.dispatch(buffers, [1]);
    return (rows) => ({ ...one, workgroups: [rows] });
  };
}
