import { WinnowError } from "../errors.ts";

/**
 * Hands out the page ids [0, capacity) of one slab, with reference counts so that forked sequences can
 * share pages. Plain bookkeeping: no GPU. Lowest free id first, so that slabs stay dense.
 */
export class BlockAllocator {
  private readonly references: number[] = [];
  /** Free ids, descending: the lowest is at the end. */
  private freeIds: number[] = [];

  constructor(capacity: number) {
    this.grow(capacity);
  }

  get capacity(): number {
    return this.references.length;
  }

  get free(): number {
    return this.freeIds.length;
  }

  get used(): number {
    return this.capacity - this.free;
  }

  /** Adds the ids [capacity, newCapacity). */
  grow(newCapacity: number): void {
    const fresh: number[] = [];
    for (let id = newCapacity - 1; id >= this.capacity; id -= 1) fresh.push(id);
    this.freeIds = [...fresh, ...this.freeIds];
    while (this.references.length < newCapacity) this.references.push(0);
  }

  /** A free id, now with one reference. */
  allocate(): number {
    const id = this.freeIds.pop();
    if (id === undefined) throw new WinnowError("internal", `no free page among ${this.capacity}`);
    this.references[id] = 1;
    return id;
  }

  referencesOf(id: number): number {
    return this.references[id] ?? 0;
  }

  /** One more owner of `id`. */
  retain(id: number): void {
    if (this.referencesOf(id) === 0)
      throw new WinnowError("internal", `page ${id} is not allocated`);
    this.references[id]! += 1;
  }

  /** One owner fewer; the last one frees the id. */
  release(id: number): void {
    if (this.referencesOf(id) === 0) throw new WinnowError("internal", `page ${id} is freed twice`);
    this.references[id]! -= 1;
    if (this.references[id]! > 0) return;
    // Keep the free list descending, so that the lowest id is reused first.
    let at = this.freeIds.length;
    while (at > 0 && this.freeIds[at - 1]! < id) at -= 1;
    this.freeIds.splice(at, 0, id);
  }

  /** Throws `internal` unless free + used = capacity and every page's owners equal its references. */
  checkIntegrity(owned: Iterable<number>): void {
    const owners = new Array<number>(this.capacity).fill(0);
    for (const id of owned) owners[id] = (owners[id] ?? 0) + 1;
    const free = new Set(this.freeIds);
    if (free.size !== this.freeIds.length)
      throw new WinnowError("internal", "a page is free twice");
    for (let id = 0; id < owners.length; id += 1) {
      if (owners[id] !== this.referencesOf(id) || free.has(id) !== (owners[id] === 0)) {
        throw new WinnowError(
          "internal",
          `page ${id} has ${owners[id]} owners and ${this.referencesOf(id)} references`,
        );
      }
    }
  }
}
