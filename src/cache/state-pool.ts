import type { WinnowError } from "../errors.ts";
import type { GpuContext } from "../gpu/context.ts";
import { BlockAllocator } from "./block-allocator.ts";
import { SequenceStates, type SlotPool } from "./sequence/sequence-states.ts";

/** What the pool of pages says of the memory that both share. */
export interface StateRoom {
  readonly gpu: GpuContext;
  /** To be raised when a buffer is replaced. */
  generation: number;
  readonly giveWay: () => boolean;
  isCrowded(extraPages: number): boolean;
  problem(what: string, bytes: number, present: number): WinnowError | undefined;
}

/**
 * The states of layers that keep one in place of keys and values: a slab per such layer, and slots with the same number in
 * all of them. A slot holds what a sequence has made of its first tokens, and is never written to while somebody else
 * holds it: forks, checkpoints and drafts are references. Loaded where a model has such layers.
 */
export class StatePool implements SlotPool {
  /** f32 [slots, words of a layer's state], of each layer. */
  readonly slabs: GPUBuffer[];
  allocator = new BlockAllocator(1);
  /** Every sequence's states. */
  readonly sequences = new Set<SequenceStates>();
  private readonly pool: StateRoom;
  /** Bytes of each layer's state. */
  private readonly layerBytes: readonly number[];

  constructor(pool: StateRoom, words: readonly number[]) {
    this.pool = pool;
    this.layerBytes = words.map((each) => each * 4);
    this.slabs = this.layerBytes.map((bytes, layer) => this.slab(layer, bytes));
  }

  /** Bytes of one slot, in all layers. */
  get slotBytes(): number {
    return this.layerBytes.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Bytes of the slots that somebody holds. */
  get usedBytes(): number {
    return this.allocator.used * this.slotBytes;
  }

  /** The states of a sequence that has read nothing. */
  open(): SequenceStates {
    return new SequenceStates(this);
  }

  /**
   * `count` slots that nobody else holds. Sequences that nobody uses give way where memory has no room; then throws
   * out_of_memory, with nothing else changed.
   */
  take(count: number): number[] {
    const { allocator, pool } = this;
    const missing = () => count - allocator.free;
    const problem = () => {
      const { capacity } = allocator;
      for (const bytes of this.layerBytes) {
        const grown = pool.problem("the states", (capacity + missing()) * bytes, capacity * bytes);
        if (grown) return grown;
      }
      return undefined;
    };
    while (missing() > 0 && (pool.isCrowded(0) || problem())) if (!pool.giveWay()) break;
    if (missing() > 0) {
      const refused = problem();
      if (refused) throw refused;
      this.resize(allocator.capacity + missing());
      allocator.grow(allocator.capacity + missing());
    }
    return Array.from({ length: count }, () => allocator.allocate());
  }

  /** Gives slots that nobody holds back to the device; moves states to the front for it. */
  trim(): void {
    const old = this.allocator;
    const fresh = new BlockAllocator(Math.max(1, old.used));
    if (fresh.capacity === old.capacity) return;
    const moved = new Map<number, number>();
    for (const states of this.sequences)
      states.relocate((slot) => {
        const known = moved.get(slot);
        if (known !== undefined) {
          fresh.retain(known);
          return known;
        }
        const to = fresh.allocate();
        moved.set(slot, to);
        return to;
      });
    this.resize(fresh.capacity, [...moved]);
    this.allocator = fresh;
  }

  /** The states of a slot, layer by layer, as words. The copy is submitted before anything is awaited. */
  async read(slot: number): Promise<Uint32Array<ArrayBuffer>> {
    const parts = this.slabs.map((slab, layer) => {
      const bytes = this.layerBytes[layer]!;
      return this.pool.gpu.read(slab, slot * bytes, bytes);
    });
    const words = new Uint32Array(this.slotBytes / 4);
    let at = 0;
    for (const part of await Promise.all(parts)) {
      words.set(new Uint32Array(part), at);
      at += part.byteLength / 4;
    }
    return words;
  }

  /** Writes what `read` gave. */
  write(slot: number, words: Uint32Array): void {
    let at = 0;
    for (const [layer, bytes] of this.layerBytes.entries()) {
      this.pool.gpu.write(this.slabs[layer]!, words.subarray(at, at + bytes / 4), slot * bytes);
      at += bytes / 4;
    }
  }

  /** Throws `internal` unless every slot is free or held exactly as often as it is referenced. */
  checkIntegrity(): void {
    this.allocator.checkIntegrity([...this.sequences].flatMap((states) => states.slots));
  }

  private slab(layer: number, bytes: number): GPUBuffer {
    return this.pool.gpu.ledger.storage("kv", `states ${layer}`, bytes);
  }

  /** Makes the slabs anew, with room for `slots`; `moved`: where each slot goes, default all where they are. */
  private resize(slots: number, moved?: readonly (readonly [number, number])[]): void {
    const { gpu } = this.pool;
    const old = [...this.slabs];
    const encoder = gpu.device.createCommandEncoder();
    for (const [layer, bytes] of this.layerBytes.entries()) {
      const from = old[layer]!;
      const to = this.slab(layer, slots * bytes);
      if (moved === undefined) encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
      for (const [slot, target] of moved ?? [])
        encoder.copyBufferToBuffer(from, slot * bytes, to, target * bytes, bytes);
      this.slabs[layer] = to;
    }
    gpu.device.queue.submit([encoder.finish()]);
    for (const slab of old) gpu.ledger.destroy(slab);
    this.pool.generation += 1;
  }
}
