import { globalLayers, PAGE_SLOTS, pagesFor, windowOf } from "../kernels/pages/cache-shape.ts";
import { remainderBytes } from "../kernels/pages/page-format.ts";
import { LANE } from "../kernels/records.ts";
import { type CacheSettings, UNLIMITED } from "./budget.ts";
import { compressedLayers, headCapacities, headsDiffer, ownBudgets } from "./head-capacities.ts";
import type { KvPool, Tenant } from "./kv-pool.ts";
import { policyOf } from "./policies/index.ts";
import { scoringId, scoringTurn } from "./policies/scoring-id.ts";

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

/** Pairs and pages of a sequence, and the pairs that it has dropped. */
export interface SequenceUsage {
  tokensSeen: number;
  /** Pairs in the layers without a sliding window, whole layers included; so is pairsEvicted. */
  pairsKept: number;
  pairsEvicted: number;
  /** Pages in use (keys, values, positions, scores), the used part of the page tables, and what heads drop, in sum. */
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
 * them counts neither as kept nor as evicted. Layers kept whole have no end.
 */
export class KvSequence implements Tenant {
  readonly lane: number;
  private readonly pool: KvPool;
  /** [L][G] */
  private readonly heads: Head[][];
  private current: CacheSettings;
  /** Whether heads have budgets of their own by now: as long as all fits, each keeps everything. */
  private divided = false;
  private seen = 0;
  private evicted = 0;
  private inBlock = false;

  constructor(pool: KvPool, settings: CacheSettings) {
    this.pool = pool;
    this.current = settings;
    this.heads = headCapacities(pool.shape, settings).map((heads) =>
      heads.map((capacity) => ({ count: 0, capacity, pages: [] })),
    );
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

  /** The layers that the budget governs: neither with a window nor kept whole. */
  get compressed(): number[] {
    return compressedLayers(this.pool.shape, this.current);
  }

  /** Whether some head holds more than it may under other settings. */
  exceeds(settings: CacheSettings): boolean {
    const capacities = this.capacities(settings, this.seen);
    return this.heads.some((heads, layer) =>
      heads.some(({ count }, g) => count > capacities[layer]![g]!),
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
   * Makes the pages of every global head this sequence's own, or with `settings` those that it may keep
   * under them, before something writes to them in place: a fork must not see it. Throws out_of_memory
   * with nothing lost.
   */
  own(settings?: CacheSettings): void {
    this.ownPages(settings && this.capacities(settings, this.seen));
  }

  /** The same of the pages within each head's capacity. */
  ownKept(): void {
    this.ownPages(this.heads.map((heads) => heads.map(({ capacity }) => capacity)));
  }

  private ownPages(capacities: readonly (readonly number[])[] | undefined): void {
    for (const layer of this.global) {
      const heads = this.heads[layer]!;
      const allocator = this.pool.allocators[layer]!;
      const shared = heads.flatMap((head, g) =>
        head.pages
          .slice(0, capacities && pagesFor(capacities[layer]![g]!))
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
    this.heads.forEach((_, layer) => {
      this.advanceLayer(layer, tokens);
    });
    this.endBlock(tokens);
  }

  /**
   * Accounts for a block of `tokens` that one layer has taken in, before the next one does: until
   * `endBlock` the sequence is torn.
   */
  advanceLayer(layer: number, tokens: number): void {
    this.inBlock = true;
    const ring = windowOf(this.pool.shape, layer) > 0;
    for (const head of this.heads[layer]!) {
      const count = Math.min(head.capacity, head.count + tokens);
      if (!ring) this.evicted += head.count + tokens - count;
      head.count = count;
    }
  }

  /** Accounts for a block of `tokens` that all layers have taken in. */
  endBlock(tokens: number): void {
    this.seen += tokens;
    this.inBlock = false;
  }

  /** Whether some layers have taken in a block that others have not. */
  get torn(): boolean {
    return this.inBlock;
  }

  /** Whether `tokens` more would make some head of a global layer evict. */
  evictsWith(tokens: number): boolean {
    return this.global.some((layer) =>
      this.heads[layer]!.some(({ count, capacity }) => count + tokens > capacity),
    );
  }

  /** A point that `rewind` can go back to, as long as nothing but appends comes in between. */
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
      for (const [g, head] of heads.entries()) head.count = counts[layer]![g]!;
    });
    this.advance(tokens);
    this.heads.forEach((heads, layer) => {
      for (const [g, head] of heads.entries()) {
        if (head.count === before[layer]![g]) continue;
        this.releaseBeyond(layer, head, head.count);
        this.writeRow(layer, g);
      }
    });
  }

  /** Takes new settings; the caller evicts down to the new capacity on the GPU, then calls `shrink`. */
  setSettings(settings: CacheSettings): void {
    this.current = settings;
    this.setCapacities(this.capacities(settings, this.seen));
    this.divided = headsDiffer(this.pool.shape, settings, this.seen);
  }

  /** Whether heads must go from one budget for all to budgets of their own before `tokens` more come. */
  dividesWith(tokens: number): boolean {
    return !this.divided && headsDiffer(this.pool.shape, this.current, this.seen + tokens);
  }

  /** Gives each head its own budget; the caller evicts down to it. */
  divide(): void {
    this.divided = true;
    this.setCapacities(this.capacities(this.current, Number.POSITIVE_INFINITY));
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
    copy.divided = this.divided;
    copy.seen = this.seen;
    copy.evicted = this.evicted;
    this.pool.copyRemainders(this.lane, copy.lane);
    this.heads.forEach((heads, layer) => {
      heads.forEach((head, g) => {
        for (const page of head.pages) this.pool.allocators[layer]!.retain(page);
        copy.heads[layer]![g] = { ...head, pages: [...head.pages] };
      });
    });
    copy.writeAll();
    return copy;
  }

  /** Frees every page and the lane; the sequence must not be used again. */
  free(): void {
    this.giveWay();
    this.pool.trim();
  }

  /** The same for who takes them at once: they stay in the slabs and tables. */
  giveWay(): void {
    this.heads.forEach((heads, layer) => {
      for (const head of heads) this.releaseBeyond(layer, head, 0);
    });
    this.pool.detach(this.lane);
  }

  usage(): SequenceUsage {
    let pairsKept = 0;
    let bytes = 0;
    const { remembers } = policyOf(this.current.policy);
    this.heads.forEach((heads, layer) => {
      const ring = windowOf(this.pool.shape, layer) > 0;
      for (const head of heads) {
        if (!ring) pairsKept += head.count;
        bytes += head.pages.length * this.pool.pageBytes + (head.pages.length + 2) * 4;
        if (remembers && !ring && head.capacity !== UNLIMITED)
          bytes += remainderBytes(this.pool.shape);
      }
    });
    return { tokensSeen: this.seen, pairsKept, pairsEvicted: this.evicted, bytes };
  }

  // For the pool.

  pagesOf(layer: number): number[] {
    return this.heads[layer]!.flatMap((head) => head.pages);
  }

  /** Pages this sequence may come to hold in a layer: bounds the growth of the slab. */
  pagesWanted(layer: number): number {
    return this.heads[layer]!.reduce(
      (sum, head) =>
        sum + (head.capacity === UNLIMITED ? head.pages.length * 2 + 4 : pagesFor(head.capacity)),
      0,
    );
  }

  relocate(layer: number, move: (page: number) => number): void {
    for (const head of this.heads[layer]!) head.pages = head.pages.map(move);
    this.heads[layer]!.forEach((_, g) => {
      this.writeRow(layer, g);
    });
  }

  writeAll(): void {
    const { policy, window, sinks } = this.current;
    const { score, remembers = false } = policyOf(policy);
    const lane = LANE.pack({
      ...score,
      window,
      sinks,
      seed: RANDOM_SEED,
      scoring: scoringId(policy),
      ...scoringTurn(this.current),
      remembers: Number(remembers),
    });
    this.pool.writeLane(this.lane, lane);
    this.heads.forEach((heads, layer) => {
      heads.forEach((_, g) => {
        this.writeRow(layer, g);
      });
    });
  }

  /** The layers without a sliding window. */
  private get global(): number[] {
    return globalLayers(this.pool.shape);
  }

  /** Frees the pages of a head beyond its first `slots` slots. */
  private releaseBeyond(layer: number, head: Head, slots: number): void {
    for (const page of head.pages.splice(pagesFor(slots)))
      this.pool.allocators[layer]!.release(page);
  }

  /** [L][G] once `tokens` have been seen. */
  private capacities(settings: CacheSettings, tokens: number): number[][] {
    const { shape, headLoss } = this.pool;
    const differ = headLoss !== undefined && headsDiffer(shape, settings, tokens);
    return headCapacities(
      shape,
      settings,
      differ ? ownBudgets(shape, settings, headLoss) : undefined,
    );
  }

  private setCapacities(capacities: readonly (readonly number[])[]): void {
    this.heads.forEach((heads, layer) => {
      heads.forEach((head, g) => {
        head.capacity = capacities[layer]![g]!;
      });
    });
    this.writeAll();
  }

  /** Tokens that come before the next scoring: what will not fit then is scored now, which writes to every slot. */
  private get ahead(): number {
    return scoringId(this.current.policy) > 0 ? scoringTurn(this.current).every : 0;
  }

  private reserveLayer(layer: number, heads: readonly Head[], tokens: number): void {
    const ring = windowOf(this.pool.shape, layer) > 0;
    // Attention that is observed becomes the score of every slot, also while nothing has to go.
    const { observation } = policyOf(this.current.policy);
    const observes = !ring && observation !== undefined && !observation.apart;
    const allocator = this.pool.allocators[layer]!;
    const shared: SharedPage[] = [];
    const missing = heads.map((head) => {
      const full = observes || head.count + tokens + this.ahead > head.capacity;
      const firstWritten = full ? 0 : Math.floor(head.count / PAGE_SLOTS);
      for (let index = firstWritten; index < head.pages.length; index += 1)
        if (allocator.referencesOf(head.pages[index]!) > 1) shared.push({ head, index });
      return pagesFor(Math.min(head.capacity, head.count + tokens)) - head.pages.length;
    });
    const extra = shared.length + missing.reduce((sum, n) => sum + Math.max(0, n), 0);
    if (extra === 0) return;
    this.pool.ensureFree(layer, extra);
    this.copyShared(layer, shared);
    // Another one than before, where making room has moved pages.
    const enlarged = this.pool.allocators[layer]!;
    heads.forEach((head, g) => {
      for (let n = missing[g]!; n > 0; n -= 1) head.pages.push(enlarged.allocate());
      this.writeRow(layer, g);
    });
  }

  /** Gives each shared page a copy of this sequence's own; free pages must be there. */
  private copyShared(layer: number, shared: readonly SharedPage[]): void {
    const allocator = this.pool.allocators[layer]!;
    const pairs = shared.map(({ head, index }) => {
      const from = head.pages[index]!;
      const to = allocator.allocate();
      allocator.release(from);
      head.pages[index] = to;
      return { from, to };
    });
    this.pool.copyPages(layer, pairs);
  }

  private writeRow(layer: number, kvHead: number): void {
    const { count, capacity, pages } = this.heads[layer]![kvHead]!;
    const words = new Uint32Array([count, capacity, ...pages]);
    this.pool.gpu.write(this.pool.tables, words, this.pool.rowWord(this.lane, layer, kvHead) * 4);
  }
}
