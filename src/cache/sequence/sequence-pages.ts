import { globalLayers, PAGE_SLOTS, pagesFor, windowOf } from "../../kernels/pages/cache-shape.ts";
import { type CacheSettings, UNLIMITED } from "../budget.ts";
import { headBytes } from "../byte-budget.ts";
import type { KvPool, Tenant } from "../kv-pool.ts";
import { policyOf } from "../policies/index.ts";
import { scoringId, scoringTurn } from "../policies/scoring-id.ts";

/** One kv head's part of a sequence: the host's copy of its page-table row. */
export interface Head {
  count: number;
  capacity: number;
  pages: number[];
}

/** The index-th page of a head, which a fork has too. */
interface SharedPage {
  head: Head;
  index: number;
}

/** The page-table rows of one sequence: which pages its heads have, and which of them a fork has too. */
export class SequencePages implements Tenant {
  /** The sequence's index in the pool. */
  readonly lane: number;
  /** [L][G] */
  readonly heads: readonly Head[][];
  /** What kernels read of the sequence, its record among the lanes: see laneWords. */
  record: Uint32Array = new Uint32Array();
  private readonly pool: KvPool;

  /** Empty, with `capacities` [L][G]. Throws out_of_memory with nothing changed. */
  constructor(pool: KvPool, capacities: readonly (readonly number[])[]) {
    this.pool = pool;
    this.lane = pool.attach(this);
    this.heads = capacities.map((heads) =>
      heads.map((capacity) => ({ count: 0, capacity, pages: [] })),
    );
  }

  /**
   * Makes pages that `tokens` more will be written to exist and be this sequence's own: pages shared with a fork are
   * copied first. Throws out_of_memory with nothing lost.
   */
  reserve(tokens: number, settings: CacheSettings): void {
    this.pool.ensureRowLength(pagesFor(this.longestAfter(tokens)));
    for (const layer of this.heads.keys()) this.reserveLayer(layer, tokens, settings);
  }

  private reserveLayer(
    layer: number,
    tokens: number,
    { policy, ...settings }: CacheSettings,
  ): void {
    const heads = this.heads[layer]!;
    const ring = windowOf(this.pool.shape, layer) > 0;
    // Attention that is observed becomes the score of every slot, also while nothing has to go.
    const { observation } = policyOf(policy);
    const observes = !ring && observation !== undefined && !observation.apart;
    // What will not fit when scores are next made anew is scored now, which writes to every slot.
    const ahead = scoringId(policy) > 0 ? scoringTurn({ policy, ...settings }).every : 0;
    /** Changes while others give way: what was shared with them is then this sequence's own. */
    const needs = () => {
      const allocator = this.pool.allocators[layer]!;
      const shared: SharedPage[] = [];
      const missing = heads.map((head) => {
        const full = observes || head.count + tokens + ahead > head.capacity;
        const firstWritten = full ? 0 : Math.floor(head.count / PAGE_SLOTS);
        for (let index = firstWritten; index < head.pages.length; index += 1)
          if (allocator.referencesOf(head.pages[index]!) > 1) shared.push({ head, index });
        return Math.max(
          0,
          pagesFor(Math.min(head.capacity, head.count + tokens)) - head.pages.length,
        );
      });
      return { shared, missing, extra: missing.reduce((sum, n) => sum + n, shared.length) };
    };
    if (needs().extra === 0) return;
    this.pool.ensureFree(layer, () => needs().extra);
    const { shared, missing } = needs();
    this.copyShared(layer, shared);
    // Another one than before, where making room has moved pages.
    const enlarged = this.pool.allocators[layer]!;
    heads.forEach((head, g) => {
      for (let n = missing[g]!; n > 0; n -= 1) head.pages.push(enlarged.allocate());
    });
    this.writeLayer(layer);
  }

  /**
   * Makes the pages of some layers' heads (default: of the global layers) this sequence's own, or with `capacities`
   * [L][G] those within them, before something writes to them in place: a fork must not see it. Throws out_of_memory with
   * nothing lost.
   */
  own({
    capacities,
    layers = globalLayers(this.pool.shape),
  }: {
    capacities?: readonly (readonly number[])[] | undefined;
    layers?: Iterable<number>;
  } = {}): void {
    for (const layer of layers) {
      const shared = (): SharedPage[] =>
        this.heads[layer]!.flatMap((head, g) =>
          head.pages
            .slice(0, capacities && pagesFor(capacities[layer]![g]!))
            .flatMap((page, index) =>
              this.pool.allocators[layer]!.referencesOf(page) > 1 ? [{ head, index }] : [],
            ),
        );
      if (shared().length === 0) continue;
      this.pool.ensureFree(layer, () => shared().length);
      this.copyShared(layer, shared());
      this.writeLayer(layer);
    }
  }

  *[Symbol.iterator](): Iterator<{ head: Head; layer: number; g: number }> {
    for (const [layer, heads] of this.heads.entries())
      for (const [g, head] of heads.entries()) yield { head, layer, g };
  }

  /** Whether some head is as `is` says. */
  some(is: (entry: { head: Head; layer: number; g: number }) => boolean): boolean {
    for (const entry of this) if (is(entry)) return true;
    return false;
  }

  /** [L][G]: pairs that each head holds. */
  get counts(): number[][] {
    return this.heads.map((heads) => heads.map(({ count }) => count));
  }

  setCounts(counts: readonly (readonly number[])[]): void {
    for (const { head, layer, g } of this) head.count = counts[layer]![g]!;
  }

  /** [L][G]: pairs that each head may hold. */
  get capacities(): number[][] {
    return this.heads.map((heads) => heads.map(({ capacity }) => capacity));
  }

  setCapacities(capacities: readonly (readonly number[])[]): void {
    for (const { head, layer, g } of this) head.capacity = capacities[layer]![g]!;
  }

  /** Most slots that a head holds once `tokens` more have been run: what sizes the decode attention. */
  longestAfter(tokens: number): number {
    let longest = 0;
    for (const heads of this.heads)
      for (const { count, capacity } of heads) {
        const after = tokens > 0 ? Math.min(capacity, count + tokens) : count;
        longest = Math.max(longest, after);
      }
    return longest;
  }

  /** Slots beyond capacity, at most: what an eviction may have to move. */
  get excess(): number {
    let most = 0;
    for (const { head } of this) most = Math.max(most, head.count - head.capacity);
    return most;
  }

  /** Takes what another sequence has, and shares its pages. */
  shareOf(other: SequencePages): void {
    for (const { head, layer, g } of other) {
      for (const page of head.pages) this.pool.allocators[layer]!.retain(page);
      this.heads[layer]![g] = { ...head, pages: [...head.pages] };
    }
  }

  /** Frees the pages of a head beyond its first `slots` slots. */
  releaseBeyond(layer: number, head: Head, slots: number): void {
    for (const page of head.pages.splice(pagesFor(slots)))
      this.pool.allocators[layer]!.release(page);
  }

  /** Frees every page and the lane; the pages stay in the slab, for who takes them at once. */
  giveWay(): void {
    for (const { head, layer } of this) this.releaseBeyond(layer, head, 0);
    this.pool.detach(this.lane);
  }

  /** Bytes of the pages, of the used part of the page tables, and with `remembers` of what heads drop, in sum. */
  bytes(remembers: boolean): number {
    const { shape } = this.pool;
    let bytes = 0;
    for (const { head, layer } of this) {
      const drops = remembers && windowOf(shape, layer) === 0 && head.capacity !== UNLIMITED;
      bytes += headBytes(shape, head.pages.length, drops);
    }
    return bytes;
  }

  pagesOf(layer: number): number[] {
    return this.heads[layer]!.flatMap((head) => head.pages);
  }

  /** The pages of a layer that hold pairs, kv head by kv head. */
  stored(layer: number): number[] {
    return this.heads[layer]!.flatMap(({ count, pages }) => pages.slice(0, pagesFor(count)));
  }

  pagesWanted(layer: number): number {
    return this.heads[layer]!.reduce(
      (sum, head) =>
        sum + (head.capacity === UNLIMITED ? head.pages.length * 2 + 4 : pagesFor(head.capacity)),
      0,
    );
  }

  relocate(layer: number, move: (page: number) => number): void {
    for (const head of this.heads[layer]!) head.pages = head.pages.map(move);
    this.writeLayer(layer);
  }

  writeAll(): void {
    this.pool.pageTables.writeLane(this.lane, this.record);
    for (const { layer, g } of this) this.writeRow(layer, g);
  }

  writeRow(layer: number, kvHead: number): void {
    const { count, capacity, pages } = this.heads[layer]![kvHead]!;
    const words = new Uint32Array([count, capacity, ...pages]);
    this.pool.gpu.write(this.pool.tables, words, this.pool.rowWord(this.lane, layer, kvHead) * 4);
  }

  private writeLayer(layer: number): void {
    this.heads[layer]!.forEach((_, g) => {
      this.writeRow(layer, g);
    });
  }

  /**
   * Gives each shared page a copy of this sequence's own, through a staging buffer: a buffer cannot be copied onto
   * itself. Free pages must be there.
   */
  private copyShared(layer: number, shared: readonly SharedPage[]): void {
    if (shared.length === 0) return;
    const allocator = this.pool.allocators[layer]!;
    const pairs = shared.map(({ head, index }) => {
      const from = head.pages[index]!;
      const to = allocator.allocate();
      allocator.release(from);
      head.pages[index] = to;
      return { from, to };
    });
    const { gpu, slabs, pageBytes: size } = this.pool;
    const { COPY_SRC, COPY_DST } = GPUBufferUsage;
    const bytes = pairs.length * size;
    const staging = gpu.ledger.create("staging", "page copy", bytes, COPY_SRC | COPY_DST);
    const encoder = gpu.device.createCommandEncoder();
    pairs.forEach(({ from }, i) => {
      encoder.copyBufferToBuffer(slabs[layer]!, from * size, staging, i * size, size);
    });
    pairs.forEach(({ to }, i) => {
      encoder.copyBufferToBuffer(staging, i * size, slabs[layer]!, to * size, size);
    });
    gpu.device.queue.submit([encoder.finish()]);
    gpu.ledger.destroy(staging);
  }
}
