import { globalLayers, PAGE_SLOTS, pagesFor, windowOf } from "../kernels/cache-shape.ts";
import { type CacheSettings, capacityOf, UNLIMITED } from "./budget.ts";
import type { KvPool, Tenant } from "./kv-pool.ts";
import { POLICIES } from "./policies/index.ts";

/** Seed of the `random` policy: fixed, so that a run can be repeated. */
const RANDOM_SEED = 1;

/** One kv head's part of a sequence: the host's copy of its page-table row. */
interface Head {
  count: number;
  capacity: number;
  pages: number[];
}

/** The index-th page of a head, which a fork has too. */
interface SharedPage {
  head: Head;
  index: number;
}

/** What a sequence occupies and what it has dropped. */
export interface SequenceUsage {
  tokensSeen: number;
  /** Of the layers that the budget governs; so is pairsEvicted. */
  pairsKept: number;
  pairsEvicted: number;
  /** Pages in use (keys, values, positions, scores) and the used part of the page tables. */
  bytes: number;
}

/** The host's books at one moment. */
export interface SequenceMark {
  readonly seen: number;
  readonly evicted: number;
  /** [L][G] */
  readonly counts: readonly (readonly number[])[];
}

/**
 * One sequence's place in the pool: a lane, and a page-table row for every (layer, kv head). Counts move
 * deterministically (count = min(capacity, count + tokens)), so the host knows them without reading back.
 * Layers with a sliding window are rings of just that many slots: no setting changes them, and what leaves
 * them counts neither as kept nor as evicted.
 */
export class KvSequence implements Tenant {
  readonly lane: number;
  private readonly pool: KvPool;
  /** [L][G] */
  private readonly heads: Head[][];
  private current: CacheSettings;
  private seen = 0;
  private evicted = 0;

  constructor(pool: KvPool, settings: CacheSettings) {
    this.pool = pool;
    this.current = settings;
    const { layers, kvHeads } = pool.shape;
    this.heads = Array.from({ length: layers }, (_, layer) => {
      const capacity = this.capacity(layer);
      return Array.from({ length: kvHeads }, () => ({ count: 0, capacity, pages: [] }));
    });
    this.lane = pool.attach(this);
    this.writeAll();
  }

  get settings(): CacheSettings {
    return this.current;
  }

  get tokensSeen(): number {
    return this.seen;
  }

  /** Most slots that a head holds: what sizes the decode attention. */
  get longest(): number {
    return this.longestAfter(0);
  }

  /** The same once `tokens` more have been run. */
  longestAfter(tokens: number): number {
    let longest = 0;
    for (const layer of this.heads)
      for (const head of layer)
        longest = Math.max(
          longest,
          tokens > 0 ? Math.min(head.capacity, head.count + tokens) : head.count,
        );
    return longest;
  }

  /** Most slots that a head holds which the budget governs. */
  get longestGlobal(): number {
    return this.global.reduce(
      (most, layer) => this.heads[layer].reduce((m, { count }) => Math.max(m, count), most),
      0,
    );
  }

  /**
   * Makes room for `tokens` more, before they are run: pages to write to exist and are this sequence's own
   * (pages shared with a fork are copied first). Throws out_of_memory with nothing lost.
   */
  reserve(tokens: number): void {
    this.pool.ensureRowLength(pagesFor(this.longestAfter(tokens)));
    this.heads.forEach((heads, layer) => {
      this.reserveLayer(layer, heads, tokens);
    });
  }

  /**
   * Makes the pages of the first `slots` slots of every global head this sequence's own, before something
   * writes to them in place: a fork must not see it. Throws out_of_memory with nothing lost.
   */
  own(slots: number): void {
    for (const layer of this.global) {
      const heads = this.heads[layer];
      const allocator = this.pool.allocators[layer];
      const shared = heads.flatMap((head) =>
        head.pages
          .slice(0, pagesFor(slots))
          .flatMap((page, index) => (allocator.referencesOf(page) > 1 ? [{ head, index }] : [])),
      );
      if (shared.length === 0) continue;
      this.pool.ensureFree(layer, shared.length);
      this.copyShared(layer, shared);
      heads.forEach((_, g) => {
        this.writeRow(layer, g);
      });
    }
  }

  /** Accounts for `tokens` that were run. */
  advance(tokens: number): void {
    this.seen += tokens;
    this.heads.forEach((heads, layer) => {
      const ring = windowOf(this.pool.shape, layer) > 0;
      for (const head of heads) {
        const count = Math.min(head.capacity, head.count + tokens);
        if (!ring) this.evicted += head.count + tokens - count;
        head.count = count;
      }
    });
  }

  /** What `rewind` can go back to, as long as nothing but appends comes in between. */
  mark(): SequenceMark {
    const counts = this.heads.map((layer) => layer.map(({ count }) => count));
    return { seen: this.seen, evicted: this.evicted, counts };
  }

  /**
   * Books that of the tokens run since `mark` only the first `tokens` are kept; their pairs are put back on the GPU
   * by the caller. Pages that only the others needed become free.
   */
  rewind({ seen, evicted, counts }: SequenceMark, tokens: number): void {
    const before = this.heads.map((layer) => layer.map(({ count }) => count));
    this.seen = seen;
    this.evicted = evicted;
    this.heads.forEach((heads, layer) => {
      for (const [g, head] of heads.entries()) head.count = counts[layer][g];
    });
    this.advance(tokens);
    this.heads.forEach((heads, layer) => {
      for (const [g, head] of heads.entries()) {
        if (head.count === before[layer][g]) continue;
        this.releaseBeyond(layer, head, head.count);
        this.writeRow(layer, g);
      }
    });
  }

  /** Takes new settings; the caller evicts down to the new capacity on the GPU, then calls `shrink`. */
  setSettings(settings: CacheSettings): void {
    this.current = settings;
    this.heads.forEach((heads, layer) => {
      for (const head of heads) head.capacity = this.capacity(layer);
    });
    this.writeAll();
  }

  /** Whether some head holds more than its capacity. */
  get overCapacity(): boolean {
    return this.heads.some((layer) => layer.some((head) => head.count > head.capacity));
  }

  /** Slots beyond capacity, at most: what an eviction may have to move. */
  get excess(): number {
    return this.heads.reduce(
      (most, layer) => layer.reduce((m, head) => Math.max(m, head.count - head.capacity), most),
      0,
    );
  }

  /** Books an eviction down to capacity and frees the pages beyond it. */
  shrink(): void {
    this.heads.forEach((heads, layer) => {
      for (const head of heads) {
        const count = Math.min(head.count, head.capacity);
        this.evicted += head.count - count;
        head.count = count;
        this.releaseBeyond(layer, head, count);
      }
    });
    this.writeAll();
  }

  /** Whether `truncate` can be used: every token seen is still in every head, slot i holding position i. */
  get whole(): boolean {
    return this.heads.every((layer) => layer.every(({ count }) => count === this.seen));
  }

  /**
   * Forgets all but the first `tokens` tokens; the sequence must be `whole`. Pages that become free stay in
   * the slab, for what comes instead.
   */
  truncate(tokens: number): void {
    this.seen = tokens;
    this.heads.forEach((heads, layer) => {
      for (const head of heads) {
        head.count = tokens;
        this.releaseBeyond(layer, head, tokens);
      }
    });
    this.writeAll();
  }

  /** A copy of this sequence that shares its pages until either writes to them. */
  fork(): KvSequence {
    const copy = new KvSequence(this.pool, this.current);
    copy.seen = this.seen;
    copy.evicted = this.evicted;
    this.heads.forEach((heads, layer) => {
      heads.forEach((head, g) => {
        for (const page of head.pages) this.pool.allocators[layer].retain(page);
        copy.heads[layer][g] = { ...head, pages: [...head.pages] };
      });
    });
    copy.writeAll();
    return copy;
  }

  /** Frees every page and the lane; the sequence must not be used again. */
  free(): void {
    this.heads.forEach((heads, layer) => {
      for (const head of heads) this.releaseBeyond(layer, head, 0);
    });
    this.pool.detach(this.lane);
    this.pool.trim();
  }

  usage(): SequenceUsage {
    let pairsKept = 0;
    let bytes = 0;
    this.heads.forEach((heads, layer) => {
      const ring = windowOf(this.pool.shape, layer) > 0;
      for (const head of heads) {
        if (!ring) pairsKept += head.count;
        bytes += head.pages.length * this.pool.pageBytes + (head.pages.length + 2) * 4;
      }
    });
    return { tokensSeen: this.seen, pairsKept, pairsEvicted: this.evicted, bytes };
  }

  // What the pool asks of its sequences.

  pagesOf(layer: number): number[] {
    return this.heads[layer].flatMap((head) => head.pages);
  }

  /** Pages this sequence may come to hold in a layer: bounds the growth of the slab. */
  pagesWanted(layer: number): number {
    return this.heads[layer].reduce(
      (sum, head) =>
        sum + (head.capacity === UNLIMITED ? head.pages.length * 2 + 4 : pagesFor(head.capacity)),
      0,
    );
  }

  relocate(layer: number, move: (page: number) => number): void {
    for (const head of this.heads[layer]) head.pages = head.pages.map(move);
    this.heads[layer].forEach((_, g) => {
      this.writeRow(layer, g);
    });
  }

  writeAll(): void {
    const { score } = POLICIES[this.current.policy];
    const words = new Uint32Array(8);
    new Float32Array(words.buffer).set([score.dot, score.norm, score.position, score.random]);
    words.set([this.current.window, this.current.sinks, RANDOM_SEED, 0], 4);
    this.pool.writeLane(this.lane, words);
    this.heads.forEach((heads, layer) => {
      heads.forEach((_, g) => {
        this.writeRow(layer, g);
      });
    });
  }

  /** The layers that the budget governs. */
  private get global(): number[] {
    return globalLayers(this.pool.shape);
  }

  /** Frees the pages of a head beyond its first `slots` slots. */
  private releaseBeyond(layer: number, head: Head, slots: number): void {
    for (const page of head.pages.splice(pagesFor(slots)))
      this.pool.allocators[layer].release(page);
  }

  private capacity(layer: number): number {
    return windowOf(this.pool.shape, layer) || capacityOf(this.current);
  }

  private reserveLayer(layer: number, heads: readonly Head[], tokens: number): void {
    const allocator = this.pool.allocators[layer];
    const shared: SharedPage[] = [];
    const missing = heads.map((head) => {
      const full = head.count + tokens > head.capacity;
      const firstWritten = full ? 0 : Math.floor(head.count / PAGE_SLOTS);
      for (let index = firstWritten; index < head.pages.length; index += 1)
        if (allocator.referencesOf(head.pages[index]) > 1) shared.push({ head, index });
      return pagesFor(Math.min(head.capacity, head.count + tokens)) - head.pages.length;
    });
    const extra = shared.length + missing.reduce((sum, n) => sum + Math.max(0, n), 0);
    if (extra === 0) return;
    this.pool.ensureFree(layer, extra);
    this.copyShared(layer, shared);
    heads.forEach((head, g) => {
      for (let n = missing[g]; n > 0; n -= 1) head.pages.push(allocator.allocate());
      this.writeRow(layer, g);
    });
  }

  /** Gives each shared page a copy of this sequence's own; free pages must be there. */
  private copyShared(layer: number, shared: readonly SharedPage[]): void {
    const allocator = this.pool.allocators[layer];
    const pairs = shared.map(({ head, index }) => {
      const from = head.pages[index];
      const to = allocator.allocate();
      allocator.release(from);
      head.pages[index] = to;
      return { from, to };
    });
    this.pool.copyPages(layer, pairs);
  }

  private writeRow(layer: number, kvHead: number): void {
    const { count, capacity, pages } = this.heads[layer][kvHead];
    const words = new Uint32Array([count, capacity, ...pages]);
    this.pool.gpu.write(this.pool.tables, words, this.pool.rowWord(this.lane, layer, kvHead) * 4);
  }
}
