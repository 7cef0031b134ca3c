import { WinnowError } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import { misfit } from "../gpu/memory.ts";
import {
  type CacheShape,
  layerShapeWords,
  pagesFor,
  pageWords,
} from "../kernels/pages/cache-shape.ts";
import { LAYER_SHAPE } from "../kernels/records.ts";
import { BlockAllocator } from "./block-allocator.ts";
import { PageTables } from "./page-tables.ts";
import type { HeadBudgets } from "./sequence/head-capacities.ts";
import type { StatePool } from "./state-pool.ts";

const GROWTH_HINT = "Lower the cache budget, or start a new chat.";

/** Bytes of pages, and lanes, up to which caches are kept that nobody uses at the moment. */
const KEPT_BYTES = 2 ** 29;
const KEPT_LANES = 64;
/** Pages that a row of fresh page tables has room for. */
const FIRST_PAGES = 16;

/** The part of a sequence that the pool it lives in must reach. */
export interface Tenant {
  /** Pages the sequence may come to hold in a layer: bounds the growth of the slab. */
  pagesWanted(layer: number): number;
  /** Pages it holds in a layer, each as often as it refers to it. */
  pagesOf(layer: number): number[];
  /** Takes new ids for the pages it holds in a layer. */
  relocate(layer: number, move: (page: number) => number): void;
  /** Writes its lane and its page-table rows, after the tables were replaced. */
  writeAll(): void;
}

export interface KvPoolOptions {
  /** Rows of the largest prompt block. */
  readonly blockRows: number;
  /** GPU bytes, everything included. */
  readonly memoryLimit: number;
  readonly headBudgets?: HeadBudgets | undefined;
  /**
   * Frees the pages and the lane of a sequence that nobody uses at the moment; false where there is none. Default: there
   * never is.
   */
  readonly giveWay?: () => boolean;
}

/**
 * The GPU memory that all sequences share: one slab of pages per layer, the page tables and the lanes.
 * A slab grows by half when its pages run out and shrinks to what is used when a sequence gives pages
 * back, so the bytes held follow the budget. Whenever a buffer is replaced `generation` changes, and
 * bind groups made from it must be made anew.
 */
export class KvPool {
  readonly gpu: GpuContext;
  readonly shape: CacheShape;
  /** Uniform LayerShape of each layer. */
  readonly layerShapes: readonly GPUBuffer[];
  /** Pages of each layer. */
  readonly slabs: GPUBuffer[] = [];
  readonly allocators: BlockAllocator[] = [];
  readonly pageTables: PageTables;
  /** Where the model has layers that keep a state. */
  states: StatePool | undefined;
  generation = 0;
  /** Where calibration measured what heads lose at smaller budgets, for policies that divide a budget by it. */
  readonly headBudgets: HeadBudgets | undefined;
  /** Bytes of pages up to which such sequences are kept. */
  keptBytes = KEPT_BYTES;
  private readonly chunkPages: number;
  private readonly memoryLimit: number;
  readonly giveWay: () => boolean;
  private readonly sequences: (Tenant | undefined)[] = [undefined];

  constructor(
    gpu: GpuContext,
    shape: CacheShape,
    { blockRows, memoryLimit, headBudgets, giveWay = () => false }: KvPoolOptions,
  ) {
    this.gpu = gpu;
    this.shape = shape;
    this.chunkPages = pagesFor(blockRows);
    this.memoryLimit = memoryLimit;
    this.headBudgets = headBudgets;
    this.giveWay = giveWay;
    this.layerShapes = Array.from({ length: shape.layers }, (_, layer) =>
      gpu.ledger.uniform(`layer ${layer}`, new Uint32Array(LAYER_SHAPE.words)),
    );
    for (let layer = 0; layer < shape.layers; layer += 1) {
      this.allocators.push(new BlockAllocator(0));
      this.slabs.push(gpu.ledger.storage("kv", `kv ${layer}`, this.pageBytes));
    }
    this.pageTables = new PageTables(gpu, shape, 1, FIRST_PAGES);
    this.writeShapes();
  }

  get tables(): GPUBuffer {
    return this.pageTables.rows;
  }

  get lanes(): GPUBuffer {
    return this.pageTables.lanes;
  }

  /** Pages that a page-table row has room for. */
  get maxPages(): number {
    return this.pageTables.maxPages;
  }

  get pageBytes(): number {
    return pageWords(this.shape) * 4;
  }

  get maxLanes(): number {
    return this.sequences.length;
  }

  /** Gives a sequence a lane: the index its rows carry. Throws out_of_memory with nothing changed. */
  attach(sequence: Tenant): number {
    while (!this.sequences.includes(undefined)) {
      const lanes = this.maxLanes * 2;
      const problem = this.tablesProblem(lanes, this.maxPages);
      if ((problem || lanes > KEPT_LANES) && this.giveWay()) break;
      if (problem) throw problem;
      this.reshapeTables(lanes, this.maxPages);
    }
    const lane = this.sequences.indexOf(undefined);
    this.sequences[lane] = sequence;
    this.pageTables.forget(lane);
    return lane;
  }

  detach(lane: number): void {
    this.sequences[lane] = undefined;
  }

  /** First word of the page-table row of (lane, layer, kv head). */
  rowWord(lane: number, layer: number, kvHead: number): number {
    return this.pageTables.rowWord(lane, layer, kvHead);
  }

  /** Makes page-table rows at least `pages` long. Throws out_of_memory with nothing changed. */
  ensureRowLength(pages: number): void {
    if (pages <= this.maxPages) return;
    const longer = Math.max(pages, this.maxPages * 2);
    for (;;) {
      const problem = this.tablesProblem(this.maxLanes, longer);
      if (!problem) break;
      if (!this.giveWay()) throw problem;
      this.trim();
    }
    this.reshapeTables(this.maxLanes, longer);
  }

  /**
   * Makes `extra()` pages of a layer free for the taking. Sequences that nobody uses give way first, where all together
   * hold more than `keptBytes`, or the limit or the adapter does not allow more; throws out_of_memory, with nothing
   * else changed, where that is not enough. Fewer may be needed once one has given way, since pages that were shared with it
   * need no copy. Pages may have other ids afterwards.
   */
  ensureFree(layer: number, extra: () => number): void {
    const free = (): boolean => this.allocators[layer]!.free >= extra();
    const problem = (): WinnowError | undefined => {
      const { used, capacity } = this.allocators[layer]!;
      return this.slabProblem(used + extra(), capacity);
    };
    while (!free() && (this.isCrowded(extra()) || problem())) if (!this.giveWay()) break;
    if (free()) return;
    // Other layers may have more to give back than this one needs.
    if (problem()) this.trim();
    const refused = problem();
    if (refused) throw refused;
    const allocator = this.allocators[layer]!;
    const needed = allocator.used + extra();
    const grown = Math.ceil(allocator.capacity * 1.5);
    let wanted = 0;
    for (const sequence of this.sequences) wanted += sequence?.pagesWanted(layer) ?? 0;
    let capacity = Math.max(needed, Math.min(grown, wanted));
    // Room to grow into is a convenience: without the memory for it, just what is needed will do.
    if (this.slabProblem(capacity, allocator.capacity)) capacity = needed;
    const slab = this.gpu.ledger.storage("kv", `kv ${layer}`, capacity * this.pageBytes);
    if (allocator.capacity > 0) this.gpu.copy(this.slabs[layer]!, slab);
    this.replaceSlab(layer, slab);
    allocator.grow(capacity);
  }

  /** Gives what is unused of every slab back to the device; moves pages to the front for it. */
  trim(): void {
    for (let layer = 0; layer < this.shape.layers; layer += 1) {
      const old = this.allocators[layer]!;
      if (old.free === 0) continue;
      const fresh = new BlockAllocator(old.used);
      const bytes = Math.max(1, old.used) * this.pageBytes;
      const slab = this.gpu.ledger.storage("kv", `kv ${layer}`, bytes);
      const moved = new Map<number, number>();
      const encoder = this.gpu.device.createCommandEncoder();
      for (const sequence of this.sequences) {
        sequence?.relocate(layer, (page) => {
          const known = moved.get(page);
          if (known !== undefined) {
            fresh.retain(known);
            return known;
          }
          const to = fresh.allocate();
          moved.set(page, to);
          encoder.copyBufferToBuffer(
            this.slabs[layer]!,
            page * this.pageBytes,
            slab,
            to * this.pageBytes,
            this.pageBytes,
          );
          return to;
        });
      }
      this.gpu.device.queue.submit([encoder.finish()]);
      this.replaceSlab(layer, slab);
      this.allocators[layer] = fresh;
    }
    this.states?.trim();
    this.trimTables();
  }

  /** Throws `internal` unless every page is free or owned exactly as often as it is referenced. */
  checkIntegrity(): void {
    this.allocators.forEach((allocator, layer) => {
      allocator.checkIntegrity(
        this.sequences.flatMap((sequence) => sequence?.pagesOf(layer) ?? []),
      );
    });
    this.states?.checkIntegrity();
  }

  private replaceSlab(layer: number, slab: GPUBuffer): void {
    this.gpu.ledger.destroy(this.slabs[layer]!);
    this.slabs[layer] = slab;
    this.generation += 1;
  }

  /** Why a layer's slab cannot grow from `present` pages to `capacity`, or undefined where it can. */
  private slabProblem(capacity: number, present: number): WinnowError | undefined {
    const { pageBytes } = this;
    return this.problem("one layer's cache", capacity * pageBytes, present * pageBytes);
  }

  /** The same of page tables for so many lanes, with rows of so many pages. */
  private tablesProblem(lanes: number, pages: number): WinnowError | undefined {
    const bytes = this.pageTables.bytes(lanes, pages);
    return this.problem("the page tables", bytes, this.tables.size);
  }

  /** Why a buffer of `present` bytes cannot become one of `bytes`, or undefined where it can. */
  problem(what: string, bytes: number, present: number): WinnowError | undefined {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.gpu.device.limits;
    const largest = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    if (bytes > largest)
      return new WinnowError(
        "out_of_memory",
        `${what} would take ${bytes} bytes, the adapter binds at most ${largest}`,
        { hint: GROWTH_HINT, details: { needed: bytes, largest } },
      );
    const { weights, kv, activations, staging } = this.gpu.ledger.report();
    const grown = { weights, kv: kv + bytes - present, activations: activations + staging };
    return misfit("the engine with a larger cache", grown, this.memoryLimit, GROWTH_HINT);
  }

  /** Whether `extra` pages more would be too many to keep what nobody uses. */
  isCrowded(extra: number): boolean {
    const used = this.allocators.reduce((sum, allocator) => sum + allocator.used, extra);
    return used * this.pageBytes + (this.states?.usedBytes ?? 0) > this.keptBytes;
  }

  /** Lanes behind the last one in use are given back, and long rows once nobody has any. */
  private trimTables(): void {
    const used = 1 + this.sequences.findLastIndex((sequence) => sequence !== undefined);
    const lanes = 2 ** Math.ceil(Math.log2(Math.max(1, used)));
    const pages = used === 0 ? FIRST_PAGES : this.maxPages;
    if (lanes < this.maxLanes || pages < this.maxPages) this.reshapeTables(lanes, pages);
  }

  /** New tables and lanes, refilled from the sequences' own books. */
  private reshapeTables(lanes: number, maxPages: number): void {
    const used = this.sequences.flatMap((sequence, lane) => (sequence ? [lane] : []));
    this.sequences.length = Math.min(this.sequences.length, lanes);
    while (this.sequences.length < lanes) this.sequences.push(undefined);
    this.pageTables.reshape(lanes, maxPages, used);
    this.writeShapes();
    for (const sequence of this.sequences) sequence?.writeAll();
    this.generation += 1;
  }

  private writeShapes(): void {
    this.layerShapes.forEach((buffer, layer) => {
      this.gpu.write(buffer, layerShapeWords(this.shape, layer, this.maxPages, this.chunkPages));
    });
  }
}
