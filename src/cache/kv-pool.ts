import { WinnowError } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import { misfit } from "../gpu/memory.ts";
import {
  type CacheShape,
  layerShapeWords,
  pagesFor,
  pageWords,
  rowWords,
} from "../kernels/pages/cache-shape.ts";
import { remainderBytes } from "../kernels/pages/page-format.ts";
import { LANE, LAYER_SHAPE } from "../kernels/records.ts";
import { BlockAllocator } from "./block-allocator.ts";
import type { HeadLoss } from "./filters-file.ts";

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
  readonly headLoss?: HeadLoss | undefined;
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
  tables: GPUBuffer;
  lanes: GPUBuffer;
  generation = 0;
  /** What calibration measured heads to lose at smaller budgets, for policies that divide a budget by it. */
  readonly headLoss: HeadLoss | undefined;
  /** Bytes of pages up to which such sequences are kept. */
  keptBytes = KEPT_BYTES;
  /** Pages that a page-table row has room for. */
  maxPages = 0;

  private readonly chunkPages: number;
  private readonly memoryLimit: number;
  private readonly giveWay: () => boolean;
  private readonly sequences: (Tenant | undefined)[] = [];

  constructor(
    gpu: GpuContext,
    shape: CacheShape,
    { blockRows, memoryLimit, headLoss, giveWay = () => false }: KvPoolOptions,
  ) {
    this.gpu = gpu;
    this.shape = shape;
    this.chunkPages = pagesFor(blockRows);
    this.memoryLimit = memoryLimit;
    this.headLoss = headLoss;
    this.giveWay = giveWay;
    this.layerShapes = Array.from({ length: shape.layers }, (_, layer) =>
      gpu.ledger.uniform(`layer ${layer}`, new Uint32Array(LAYER_SHAPE.words)),
    );
    for (let layer = 0; layer < shape.layers; layer += 1) {
      this.allocators.push(new BlockAllocator(0));
      this.slabs.push(gpu.ledger.storage("kv", `kv ${layer}`, this.pageBytes));
    }
    this.tables = gpu.ledger.storage("kv", "page tables", 4);
    this.lanes = gpu.ledger.storage("kv", "lanes", 4);
    this.reshapeTables(1, FIRST_PAGES);
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
    this.forget(lane);
    return lane;
  }

  detach(lane: number): void {
    this.sequences[lane] = undefined;
  }

  /** First word of the page-table row of (lane, layer, kv head). */
  rowWord(lane: number, layer: number, kvHead: number): number {
    const { layers, kvHeads } = this.shape;
    return ((lane * layers + layer) * kvHeads + kvHead) * this.rowWords;
  }

  writeLane(lane: number, words: Uint32Array): void {
    this.gpu.write(this.lanes, words, lane * LANE.words * 4);
  }

  /** Copies the remainders of one lane's heads to another's. */
  copyRemainders(from: number, to: number): void {
    const { device, ledger } = this.gpu;
    // A buffer cannot be copied onto itself.
    const { size } = this.tables;
    const kept = ledger.storage("staging", "remainders", size);
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(this.tables, 0, kept, 0, size);
    device.queue.submit([encoder.finish()]);
    this.moveRemainders(kept, this.maxPages, [[from, to]]);
    ledger.destroy(kept);
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
   * Makes `extra` pages of a layer free for the taking. Sequences that nobody uses give way first, where all together
   * hold more than `keptBytes`, or the limit or the adapter does not allow more; throws out_of_memory, with nothing
   * else changed, where that is not enough. Pages may have other ids afterwards.
   */
  ensureFree(layer: number, extra: number): void {
    const free = (): boolean => this.allocators[layer]!.free >= extra;
    const problem = (): WinnowError | undefined => {
      const { used, capacity } = this.allocators[layer]!;
      return this.slabProblem(used + extra, capacity);
    };
    while (!free() && (this.isCrowded(extra) || problem())) if (!this.giveWay()) break;
    if (free()) return;
    // Other layers may have more to give back than this one needs.
    if (problem()) this.trim();
    const refused = problem();
    if (refused) throw refused;
    const allocator = this.allocators[layer]!;
    const needed = allocator.used + extra;
    const grown = Math.ceil(allocator.capacity * 1.5);
    let wanted = 0;
    for (const sequence of this.sequences) wanted += sequence?.pagesWanted(layer) ?? 0;
    let capacity = Math.max(needed, Math.min(grown, wanted));
    // Room to grow into is a convenience: without the memory for it, just what is needed will do.
    if (this.slabProblem(capacity, allocator.capacity)) capacity = needed;
    const slab = this.gpu.ledger.storage("kv", `kv ${layer}`, capacity * this.pageBytes);
    if (allocator.capacity > 0) {
      const encoder = this.gpu.device.createCommandEncoder();
      encoder.copyBufferToBuffer(
        this.slabs[layer]!,
        0,
        slab,
        0,
        allocator.capacity * this.pageBytes,
      );
      this.gpu.device.queue.submit([encoder.finish()]);
    }
    this.replaceSlab(layer, slab);
    allocator.grow(capacity);
  }

  /** Gives the unused pages of every slab back to the device; moves pages to the front for it. */
  trim(): void {
    for (let layer = 0; layer < this.shape.layers; layer += 1) {
      const old = this.allocators[layer]!;
      if (old.free === 0) continue;
      const fresh = new BlockAllocator(old.used);
      const slab = this.gpu.ledger.storage(
        "kv",
        `kv ${layer}`,
        Math.max(1, old.used) * this.pageBytes,
      );
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
    this.trimTables();
  }

  /** Copies pages within a slab (through a staging buffer: a buffer cannot be copied onto itself). */
  copyPages(layer: number, pairs: readonly { from: number; to: number }[]): void {
    if (pairs.length === 0) return;
    const size = this.pageBytes;
    const { COPY_SRC, COPY_DST } = GPUBufferUsage;
    const staging = this.gpu.ledger.create(
      "staging",
      "page copy",
      pairs.length * size,
      COPY_SRC | COPY_DST,
    );
    const encoder = this.gpu.device.createCommandEncoder();
    pairs.forEach(({ from }, i) => {
      encoder.copyBufferToBuffer(this.slabs[layer]!, from * size, staging, i * size, size);
    });
    pairs.forEach(({ to }, i) => {
      encoder.copyBufferToBuffer(staging, i * size, this.slabs[layer]!, to * size, size);
    });
    this.gpu.device.queue.submit([encoder.finish()]);
    this.gpu.ledger.destroy(staging);
  }

  /** Throws `internal` unless every page is free or owned exactly as often as it is referenced. */
  checkIntegrity(): void {
    this.allocators.forEach((allocator, layer) => {
      allocator.checkIntegrity(
        this.sequences.flatMap((sequence) => sequence?.pagesOf(layer) ?? []),
      );
    });
  }

  /** Words of a page-table row, in the tables as they are. */
  private get rowWords(): number {
    return rowWords(this.shape, this.maxPages);
  }

  /** Empties the remainders of a lane's heads. */
  private forget(lane: number): void {
    for (const [layer, kvHead] of this.heads()) {
      const word = this.rowWord(lane, layer, kvHead) + 2 + this.maxPages;
      this.gpu.write(this.tables, new Uint32Array(remainderBytes(this.shape) / 4), word * 4);
    }
  }

  /** Copies remainders from lanes of other tables, whose rows have room for `pages` pages. */
  private moveRemainders(
    from: GPUBuffer,
    pages: number,
    lanes: readonly (readonly [from: number, to: number])[],
  ): void {
    const bytes = remainderBytes(this.shape);
    const { layers, kvHeads } = this.shape;
    const { device } = this.gpu;
    const encoder = device.createCommandEncoder();
    for (const [source, target] of lanes)
      for (const [layer, kvHead] of this.heads()) {
        const head = (source * layers + layer) * kvHeads + kvHead;
        const at = head * rowWords(this.shape, pages) + 2 + pages;
        const to = this.rowWord(target, layer, kvHead) + 2 + this.maxPages;
        encoder.copyBufferToBuffer(from, at * 4, this.tables, to * 4, bytes);
      }
    device.queue.submit([encoder.finish()]);
  }

  private *heads(): Iterable<[layer: number, kvHead: number]> {
    for (let layer = 0; layer < this.shape.layers; layer += 1)
      for (let kvHead = 0; kvHead < this.shape.kvHeads; kvHead += 1) yield [layer, kvHead];
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
    const { layers, kvHeads } = this.shape;
    const bytes = lanes * layers * kvHeads * rowWords(this.shape, pages) * 4;
    return this.problem("the page tables", bytes, this.tables.size);
  }

  private problem(what: string, bytes: number, present: number): WinnowError | undefined {
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
  private isCrowded(extra: number): boolean {
    const used = this.allocators.reduce((sum, allocator) => sum + allocator.used, extra);
    return used * this.pageBytes > this.keptBytes;
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
    const { layers, kvHeads } = this.shape;
    const [old, oldPages] = [this.tables, this.maxPages];
    const known = this.sequences.flatMap((sequence, lane) =>
      sequence ? [[lane, lane] as const] : [],
    );
    this.gpu.ledger.destroy(this.lanes);
    this.maxPages = maxPages;
    this.sequences.length = Math.min(this.sequences.length, lanes);
    while (this.sequences.length < lanes) this.sequences.push(undefined);
    this.tables = this.gpu.ledger.storage(
      "kv",
      "page tables",
      lanes * layers * kvHeads * this.rowWords * 4,
    );
    this.moveRemainders(old, oldPages, known);
    this.gpu.ledger.destroy(old);
    this.lanes = this.gpu.ledger.storage("kv", "lanes", lanes * LANE.words * 4);
    this.layerShapes.forEach((buffer, layer) => {
      this.gpu.write(buffer, layerShapeWords(this.shape, layer, maxPages, this.chunkPages));
    });
    for (const sequence of this.sequences) sequence?.writeAll();
    this.generation += 1;
  }
}
