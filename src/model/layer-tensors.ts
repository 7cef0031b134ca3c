/** Where the weights of a layer lie, and what finds them. Types alone. */
import type { TensorSource } from "../kernels/products/weight-sections.ts";
import type { Vector } from "./vector.ts";

/** Where in the file row i of a matrix lies. */
export type Rows = (row: number) => number;

/** Looks tensors up by name and checks their shapes. Throws bad_model_file. */
export interface TensorFinder {
  matrix(name: string, rows: number, cols: number, order?: Rows): TensorSource;
  vector(name: string, ...shape: number[]): Vector;
  optional(name: string, ...shape: number[]): Vector | undefined;
}

/** Where a layer's weights lie in the file; Q, K and V, and gate and up, are joined on the GPU. */
export interface LayerTensors {
  readonly attentionNorm: Vector;
  /** Q, K and V; in a layer that keeps a state what its kernels take. */
  readonly qkv: readonly TensorSource[];
  /** What the kernels of a layer that keeps a state, or the family's extension, take besides. */
  readonly state?: Readonly<Record<string, Vector>>;
  /** Matrices that few families have: `gate`, of what the heads find, and those that an extension takes. */
  readonly more?: Readonly<Record<string, TensorSource>>;
  /** Biases of Q, K and V. */
  readonly qkvBias?: readonly Vector[] | undefined;
  /** Gains of queries and keys, of norms or ones. */
  readonly qkNorm?: readonly [Vector, Vector] | undefined;
  readonly output: TensorSource;
  readonly postAttentionNorm: Vector | undefined;
  readonly mlpNorm: Vector;
  readonly gateUp: readonly TensorSource[];
  readonly down: TensorSource;
  readonly postMlpNorm: Vector | undefined;
}
