import type { Dispatch } from "../../gpu/kernel.ts";
import { createRetainedMass, type RetainedMass } from "../../kernels/attention/retained-mass.ts";
import { globalLayers } from "../../kernels/pages/cache-shape.ts";
import type { DeviceState } from "../state.ts";

/**
 * Retained attention mass: of the attention that a step's first row, uncompressed, pays to all tokens so far (by its
 * own queries), the share that falls on what each row's cache holds. Mean over query heads and the layers without a
 * sliding window; those kept whole count as 1.
 */
export class AttentionMass {
  private readonly state: DeviceState;
  private readonly kernel: RetainedMass;
  private readonly layers: readonly number[];
  private readonly weights: GPUBuffer;
  private readonly sums: GPUBuffer;

  /** For steps of at most `rows` rows, up to position `positions` - 1. */
  static async create(state: DeviceState, rows: number, positions: number): Promise<AttentionMass> {
    const kernel = await createRetainedMass(state.gpu, state.pool.shape);
    return new AttentionMass(state, kernel, rows, positions);
  }

  private constructor(state: DeviceState, kernel: RetainedMass, rows: number, positions: number) {
    const { shape } = state.pool;
    const { ledger } = state.gpu;
    this.state = state;
    this.kernel = kernel;
    this.layers = globalLayers(shape);
    this.weights = ledger.storage("staging", "attention weights", shape.heads * positions * 4);
    this.sums = ledger.storage("staging", "retained mass", shape.layers * rows * shape.heads * 4);
  }

  /** Dispatches that come behind a layer's attention in a step of `rows` rows. */
  dispatches(layer: number, rows: number): Dispatch[] {
    if (!this.layers.includes(layer)) return [];
    const { pool, runner } = this.state;
    const buffers = {
      shape: pool.layerShapes[layer]!,
      rows: runner.transformer.buffers.rows,
      tables: pool.tables,
      qkv: runner.transformer.buffers.qkv,
      pages: pool.slabs[layer]!,
      weights: this.weights,
      sums: this.sums,
    };
    return this.kernel.dispatches(buffers, rows);
  }

  /** The retained mass of each row of the step before; the first one's is 1. */
  async read(rows: number): Promise<number[]> {
    const { layers, heads } = this.state.pool.shape;
    const bytes = await this.state.gpu.read(this.sums, 0, layers * rows * heads * 4);
    const sums = new Float32Array(bytes);
    const mass = new Array<number>(rows).fill(0);
    for (const layer of this.layers)
      for (let row = 0; row < rows; row += 1)
        for (let head = 0; head < heads; head += 1) {
          const all = sums[layer * rows * heads + head]!;
          // What a cache holds in another order may add up to a rounding more.
          mass[row]! += Math.min(1, sums[(layer * rows + row) * heads + head]! / all);
        }
    return mass.map((sum) => sum / (this.layers.length * heads));
  }

  dispose(): void {
    for (const buffer of [this.weights, this.sums]) this.state.gpu.ledger.destroy(buffer);
  }
}
