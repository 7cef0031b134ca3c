/** What the schedule must know of layers that keep a state in place of keys and values. Types alone. */
import type { Gguf } from "../../formats/gguf/gguf.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch, Stage } from "../../gpu/kernel.ts";
import type { TensorSource } from "../../kernels/products/weight-sections.ts";
import type { StateRows } from "../../kernels/states/state-rows.ts";
import type { TensorFinder } from "../layer-tensors.ts";
import type { Vector } from "../vector.ts";

/** A layer that keeps a state: the sizes that the schedule needs, beside those of its kind. */
export interface StateLayer {
  /** f32 words of its state. */
  readonly words: number;
  /** Floats per row that its first product gives its kernels. */
  readonly projected: number;
  /** Floats per row that they give its output product. */
  readonly mixed: number;
  /** Bytes that its kernels leave for each other, once for all layers. */
  readonly scratchBytes: number;
}

/** Which layers keep a state, as the file says it. */
export interface FoundStates {
  /** G of the other layers. */
  readonly kvHeads: number;
  /** Of each layer, whether it keeps one. */
  readonly keeps: readonly boolean[];
  /** What each of them is. */
  readonly layer: StateLayer;
}

/** Where a layer's weights lie in the file, but for norms and MLP. */
export interface StateTensors {
  /** What the first product is made of, row after row. */
  readonly qkv: readonly TensorSource[];
  /** Its kernels' weights, as they take them, by the names of their bindings. */
  readonly state: Readonly<Record<string, Vector>>;
  readonly output: TensorSource;
}

/** What a layer's kernels work on, besides its weights. */
export interface StateBuffers {
  readonly batch: GPUBuffer;
  /** f32 [M, projected] */
  readonly projected: GPUBuffer;
  /** Move [M], or one where the rows are of one sequence */
  readonly moves: GPUBuffer;
  /** f32 [slots, words] */
  readonly states: GPUBuffer;
  /** f32 [M, mixed] */
  readonly y: GPUBuffer;
}

/** Compiled kernels: given buffers, the dispatches that take so many rows through the layer. */
export type StateKernel = (
  buffers: StateBuffers,
  weights: Readonly<Record<string, GPUBuffer>>,
) => (rows: number) => Dispatch[];

export interface StateKind {
  /** @throws bad_model_file, unsupported_model, naming the field. */
  read(gguf: Gguf, family: string, layers: number, heads: number, hidden: number): FoundStates;
  tensors(
    reader: TensorFinder,
    at: (part: string, kind?: string) => string,
    layer: StateLayer,
    hidden: number,
  ): StateTensors;
  /** Kernels for rows that belong together in such a way. */
  compile(
    gpu: GpuContext,
    config: { readonly hidden: number; readonly normEpsilon: number },
    layer: StateLayer,
    rowsAre: StateRows,
    stage?: Stage,
  ): Promise<StateKernel>;
}
