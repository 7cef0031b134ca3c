import type { KvSequence } from "../../cache/sequence/kv-sequence.ts";
import type { GpuContext } from "../../gpu/context.ts";
import type { Dispatch, Kernel } from "../../gpu/kernel.ts";
import { OnDemand } from "../../gpu/on-demand.ts";
import { windowOf } from "../../kernels/pages/cache-shape.ts";
import { createObserve, OBSERVE_TILES, SECOND_READING } from "../../kernels/scoring/observe.ts";
import type { Runner } from "./runner.ts";

/** The kernel of each device that has read something twice. */
const kernels = new WeakMap<GpuContext, OnDemand<Kernel>>();

function kernelOf({ gpu, compressor }: Runner): OnDemand<Kernel> {
  let kernel = kernels.get(gpu);
  if (!kernel) {
    kernel = new OnDemand("what scores by a second reading", async () => {
      const { shape } = compressor.pool;
      return (await createObserve(gpu, shape, SECOND_READING, { kind: "reread" })).mass;
    });
    kernels.set(gpu, kernel);
  }
  return kernel;
}

/**
 * What happens around the second reading of a prompt block: each of its chunks scores the block and the cache by the attention
 * that it pays, and states are put back to where the first reading left them.
 */
export class SecondReading {
  private readonly runner: Runner;
  private readonly sequence: KvSequence;
  private readonly kernel: Kernel;
  /** A layer's state after the first reading. */
  private readonly state: GPUBuffer | undefined;

  static async create(runner: Runner, sequence: KvSequence): Promise<SecondReading> {
    const kernel = kernelOf(runner);
    await kernel.made();
    return new SecondReading(runner, sequence, kernel.value);
  }

  private constructor(runner: Runner, sequence: KvSequence, kernel: Kernel) {
    this.runner = runner;
    this.sequence = sequence;
    this.kernel = kernel;
    const words = runner.compressor.pool.shape.stateWords ?? [];
    if (words.length > 0)
      this.state = runner.gpu.ledger.storage("staging", "kept state", 4 * Math.max(...words));
  }

  /** Dispatches behind a layer's part of a chunk of the second reading. */
  score(layer: number): Dispatch[] {
    const { pool, eviction, chunks } = this.runner.compressor;
    const { rows, batch, qkv, lse } = this.runner.transformer.buffers;
    if (windowOf(pool.shape, layer) > 0) return [];
    const buffers = {
      shape: pool.layerShapes[layer]!,
      eviction,
      tables: pool.tables,
      lanes: pool.lanes,
      qkv,
      lse,
      pages: pool.slabs[layer]!,
      chunk: chunks[layer]!,
      rows,
      batch,
    };
    return [this.kernel.dispatch(buffers, [OBSERVE_TILES, pool.shape.kvHeads])];
  }

  /** Copies what the first reading has left as the state of the layer-th of those that keep one. */
  keepState(encoder: GPUCommandEncoder, layer: number): void {
    const { slab, at, bytes } = this.placeOfState(layer);
    encoder.copyBufferToBuffer(slab, at, this.state!, 0, bytes);
  }

  restoreState(encoder: GPUCommandEncoder, layer: number): void {
    const { slab, at, bytes } = this.placeOfState(layer);
    encoder.copyBufferToBuffer(this.state!, 0, slab, at, bytes);
  }

  dispose(): void {
    if (this.state) this.runner.gpu.ledger.destroy(this.state);
  }

  private placeOfState(layer: number): { slab: GPUBuffer; at: number; bytes: number } {
    const { pool } = this.runner.compressor;
    const bytes = 4 * pool.shape.stateWords![layer]!;
    const { to } = this.sequence.states!.moves.at(-1)!;
    return { slab: pool.states!.slabs[layer]!, at: to * bytes, bytes };
  }
}
