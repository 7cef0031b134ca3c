import type { GpuContext } from "../gpu/context.ts";
import { type CacheShape, rowWords } from "../kernels/pages/cache-shape.ts";
import { remainderBytes } from "../kernels/pages/page-format.ts";
import { LANE } from "../kernels/records.ts";

/**
 * The page-table rows of all sequences on the GPU, one for each (lane, layer, kv head), and their lanes. A row's count,
 * capacity and page ids are in the sequences' own books; its remainder, what the head has dropped in sum, is here alone.
 */
export class PageTables {
  rows: GPUBuffer;
  lanes: GPUBuffer;
  /** Lanes that there is room for. */
  laneCount: number;
  /** Pages that a row has room for. */
  maxPages: number;
  private readonly gpu: GpuContext;
  private readonly shape: CacheShape;

  constructor(gpu: GpuContext, shape: CacheShape, lanes: number, pages: number) {
    this.gpu = gpu;
    this.shape = shape;
    this.laneCount = lanes;
    this.maxPages = pages;
    this.rows = this.createRows();
    this.lanes = this.createLanes();
  }

  /** Bytes of the rows of so many lanes that have room for so many pages each. */
  bytes(lanes: number, pages: number): number {
    const { layers, kvHeads } = this.shape;
    return lanes * layers * kvHeads * rowWords(this.shape, pages) * 4;
  }

  /** First word of the row of (lane, layer, kv head). */
  rowWord(lane: number, layer: number, kvHead: number): number {
    const { layers, kvHeads } = this.shape;
    return ((lane * layers + layer) * kvHeads + kvHead) * rowWords(this.shape, this.maxPages);
  }

  writeLane(lane: number, words: Uint32Array): void {
    this.gpu.write(this.lanes, words, lane * LANE.words * 4);
  }

  /** Empties the remainders of a lane's heads. */
  forget(lane: number): void {
    const empty = new Uint32Array(remainderBytes(this.shape) / 4);
    for (const [layer, kvHead] of this.heads())
      this.gpu.write(this.rows, empty, this.remainderByte(lane, layer, kvHead));
  }

  /** Copies the remainders of one lane's heads to another's. */
  copyRemainders(from: number, to: number): void {
    // A buffer cannot be copied onto itself.
    const kept = this.gpu.ledger.storage("staging", "remainders", this.rows.size);
    this.gpu.copy(this.rows, kept);
    this.moveRemainders(kept, this.maxPages, [[from, to]]);
    this.gpu.ledger.destroy(kept);
  }

  /** Makes rows and lanes anew, with the remainders of the lanes in use; the rest is the sequences' to write. */
  reshape(lanes: number, maxPages: number, used: readonly number[]): void {
    const [old, oldPages] = [this.rows, this.maxPages];
    this.gpu.ledger.destroy(this.lanes);
    this.laneCount = lanes;
    this.maxPages = maxPages;
    this.rows = this.createRows();
    const kept = used.map((lane) => [lane, lane] as const);
    this.moveRemainders(old, oldPages, kept);
    this.gpu.ledger.destroy(old);
    this.lanes = this.createLanes();
  }

  private createRows(): GPUBuffer {
    const bytes = this.bytes(this.laneCount, this.maxPages);
    return this.gpu.ledger.storage("kv", "page tables", bytes);
  }

  private createLanes(): GPUBuffer {
    return this.gpu.ledger.storage("kv", "lanes", this.laneCount * LANE.words * 4);
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
        const to = this.remainderByte(target, layer, kvHead);
        encoder.copyBufferToBuffer(from, at * 4, this.rows, to, bytes);
      }
    device.queue.submit([encoder.finish()]);
  }

  private remainderByte(lane: number, layer: number, kvHead: number): number {
    return (this.rowWord(lane, layer, kvHead) + 2 + this.maxPages) * 4;
  }

  private *heads(): Iterable<[layer: number, kvHead: number]> {
    for (let layer = 0; layer < this.shape.layers; layer += 1)
      for (let kvHead = 0; kvHead < this.shape.kvHeads; kvHead += 1) yield [layer, kvHead];
  }
}
