import type { GpuContext } from "../gpu/context.ts";
import type { Dispatch, Kernel } from "../gpu/kernel.ts";
import { globalLayers, PAGE_SLOTS, pagesFor, pageWords, windowOf } from "../kernels/cache-shape.ts";
import {
  createEvictSelect,
  EVICTION_WORDS,
  type EvictSelect,
  movesBytes,
} from "../kernels/evict-select.ts";
import { createKvMove, type KvMove } from "../kernels/kv-move.ts";
import { createKvRing, type KvRing } from "../kernels/kv-ring.ts";
import { createRescore } from "../kernels/rescore.ts";
import { createRetention, type Retention } from "../kernels/retention.ts";
import { capacityOf, UNLIMITED } from "./budget.ts";
import type { KvPool } from "./kv-pool.ts";
import type { KvSequence } from "./kv-sequence.ts";

interface Kernels {
  select: EvictSelect;
  move: KvMove;
  /** Only where some layers have a sliding window. */
  ring: KvRing | undefined;
}

/**
 * Everything that happens to a cache besides appending and attending: taking in a prompt block, shrinking
 * to a smaller budget, scoring anew under another policy, and counting who still keeps what. Layers with a
 * sliding window take chunks in, and take no part in the rest.
 */
export class Compressor {
  /** A prompt block's keys and values, in page format; one layer at a time uses it. */
  readonly chunk: GPUBuffer;
  private readonly pool: KvPool;
  private readonly kernels: Kernels;
  private readonly filters: GPUBuffer;
  private readonly moves: GPUBuffer;
  private readonly eviction: GPUBuffer;

  static async create(pool: KvPool, filters: GPUBuffer, blockRows: number): Promise<Compressor> {
    const config = { headDim: pool.shape.headDim, pageSlots: PAGE_SLOTS };
    const rings = globalLayers(pool.shape).length < pool.shape.layers;
    const [select, move, ring] = await Promise.all([
      createEvictSelect(pool.gpu, config),
      createKvMove(pool.gpu, config),
      rings ? createKvRing(pool.gpu, pool.shape) : undefined,
    ]);
    return new Compressor(pool, { select, move, ring }, filters, blockRows);
  }

  private constructor(pool: KvPool, kernels: Kernels, filters: GPUBuffer, blockRows: number) {
    this.pool = pool;
    this.kernels = kernels;
    this.filters = filters;
    const { kvHeads, headDim } = pool.shape;
    const { ledger } = pool.gpu;
    const chunkBytes = kvHeads * pagesFor(blockRows) * pageWords(headDim) * 4;
    this.chunk = ledger.storage("activations", "prompt block", chunkBytes);
    this.moves = ledger.storage("activations", "moves", movesBytes(kvHeads, blockRows));
    this.eviction = ledger.uniform("eviction", new Uint32Array(EVICTION_WORDS));
  }

  /** Says what the dispatches of `absorb` work on: `rows` of a block whose newest token is at `last`. */
  target(sequence: KvSequence, rows: number, last: number): void {
    this.gpu.write(this.eviction, new Uint32Array([sequence.lane, rows, last, 0]));
  }

  /** Dispatches that take the block of one layer into the cache, evicting down to capacity. */
  absorb(layer: number): Dispatch[] {
    const { pool, chunk, eviction } = this;
    if (windowOf(pool.shape, layer) === 0) return this.evict(layer, this.moves);
    const shape = pool.layerShapes[layer];
    const buffers = { shape, eviction, chunk, tables: pool.tables, pages: pool.slabs[layer] };
    return [this.kernels.ring!.dispatch(buffers, pool.shape.kvHeads)];
  }

  /** Evicts down to the sequence's capacity and gives the memory back. */
  shrink(sequence: KvSequence): void {
    if (sequence.overCapacity) {
      // Survivors move down into slots that a fork may still use.
      sequence.own(capacityOf(sequence.settings));
      this.target(sequence, 0, sequence.tokensSeen - 1);
      const most = Math.min(sequence.excess, capacityOf(sequence.settings));
      const { kvHeads } = this.pool.shape;
      const moves = this.gpu.ledger.storage("staging", "moves", movesBytes(kvHeads, most));
      this.gpu.run(globalLayers(this.pool.shape).flatMap((layer) => this.evict(layer, moves)));
      this.gpu.ledger.destroy(moves);
    }
    sequence.shrink();
    this.pool.trim();
  }

  /** The kernel of `rescore`, compiled when it is first needed. */
  prepareRescore(): Promise<Kernel> {
    return createRescore(this.gpu, this.pool.shape);
  }

  /** Gives every cached key the score of the sequence's present policy. */
  rescore(sequence: KvSequence, rescore: Kernel): void {
    sequence.own(UNLIMITED);
    this.target(sequence, 0, sequence.tokensSeen - 1);
    const { kvHeads } = this.pool.shape;
    this.gpu.run(
      globalLayers(this.pool.shape).map((layer) => ({
        kernel: rescore,
        bindings: rescore.bind(
          this.pool.layerShapes[layer],
          this.eviction,
          this.pool.tables,
          this.pool.lanes,
          this.filters,
          this.pool.slabs[layer],
        ),
        workgroups: [8, kvHeads] as const,
      })),
    );
  }

  /** The kernel of `retention`, compiled when it is first needed. */
  prepareRetention(): Promise<Retention> {
    const { gpu, shape } = this.pool;
    return createRetention(gpu, { headDim: shape.headDim, pageSlots: PAGE_SLOTS });
  }

  /** For each token seen, how many (global layer, kv head) pairs still keep it. [tokensSeen] */
  async retention(sequence: KvSequence, kernel: Retention): Promise<Uint32Array> {
    const tokens = sequence.tokensSeen;
    if (tokens === 0) return new Uint32Array(0);
    const { ledger } = this.gpu;
    const counts = ledger.storage("staging", "retention", tokens * 4);
    try {
      this.target(sequence, 0, tokens - 1);
      const { kvHeads } = this.pool.shape;
      this.gpu.run(
        globalLayers(this.pool.shape).map((layer) =>
          kernel.dispatch(
            {
              shape: this.pool.layerShapes[layer],
              lane: this.eviction,
              tables: this.pool.tables,
              pages: this.pool.slabs[layer],
              counts,
            },
            kvHeads,
          ),
        ),
      );
      return new Uint32Array(await this.gpu.read(counts));
    } finally {
      ledger.destroy(counts);
    }
  }

  private get gpu(): GpuContext {
    return this.pool.gpu;
  }

  private evict(layer: number, moves: GPUBuffer): Dispatch[] {
    const { select, move } = this.kernels;
    const { kvHeads } = this.pool.shape;
    const shared = {
      shape: this.pool.layerShapes[layer],
      eviction: this.eviction,
      tables: this.pool.tables,
      pages: this.pool.slabs[layer],
      chunk: this.chunk,
      moves,
    };
    return [
      select.dispatch({ ...shared, lanes: this.pool.lanes }, kvHeads),
      move.dispatch(shared, kvHeads),
    ];
  }
}
