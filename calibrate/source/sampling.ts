import { seededRandom } from "../../src/random.ts";

/**
 * A uniform sample of `capacity` rows, without replacement, from a stream of unknown length
 * (Vitter's algorithm R). The reference permutes all rows of a layer and takes the first 3,000; this
 * draws from the same distribution without holding all rows. A row carries every head of a layer,
 * so heads share the sample, as in the reference.
 */
export class RowReservoir {
  /** [capacity, rowSize]; the first `size` rows are filled, in no particular order. */
  rows: Float32Array;
  /** [capacity]: each row's position in its sequence. */
  positions: Uint32Array;
  private readonly capacity: number;
  private readonly rowSize: number;
  private readonly random: () => number;
  private seenRows = 0;

  constructor(capacity: number, rowSize: number, seed: number) {
    this.capacity = capacity;
    this.rowSize = rowSize;
    this.random = seededRandom(seed);
    this.rows = new Float32Array(capacity * rowSize);
    this.positions = new Uint32Array(capacity);
  }

  /** Rows offered so far. */
  get seen(): number {
    return this.seenRows;
  }

  /** Rows held. */
  get size(): number {
    return Math.min(this.seenRows, this.capacity);
  }

  /** Offers the `count` rows of `batch` [count, rowSize], from position `start` on; what is kept is copied. */
  offer(batch: Float32Array, count: number, start: number): void {
    for (let row = 0; row < count; row++) {
      const seen = this.seenRows++;
      const slot = seen < this.capacity ? seen : Math.floor(this.random() * (seen + 1));
      if (slot >= this.capacity) continue;
      const from = row * this.rowSize;
      this.rows.set(batch.subarray(from, from + this.rowSize), slot * this.rowSize);
      this.positions[slot] = start + row;
    }
  }

  /** Gives the sample up, so that its memory can go. */
  release(): void {
    this.rows = new Float32Array(0);
    this.positions = new Uint32Array(0);
    this.seenRows = 0;
  }
}
