import { globalLayers, pagesFor, windowOf } from "../kernels/pages/cache-shape.ts";
import { foldStride, ropePosition } from "../kernels/pages/fold.ts";
import { type CacheSettings, endless } from "./budget.ts";
import {
  capacitiesAfter,
  compressedLayers,
  headCapacities,
  headsDiffer,
} from "./head-capacities.ts";
import type { KvPool, Tenant } from "./kv-pool.ts";
import { laneWords } from "./lane-words.ts";
import { policyOf } from "./policies/index.ts";
import { type Head, SequencePages } from "./sequence-pages.ts";

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

/** All that the host knows of a sequence: with its pages and remainders, another pool can go on with it. */
export interface SequenceBooks extends SequenceMark {
  readonly settings: CacheSettings;
  /** Whether heads have budgets of their own by now. */
  readonly divided: boolean;
  /** How often positions have been folded. */
  readonly folds: number;
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
  private readonly pages: SequencePages;
  private current: CacheSettings;
  /** Whether heads have budgets of their own by now: as long as all fits, each keeps everything. */
  private divided = false;
  private seen = 0;
  private evicted = 0;
  private inBlock = false;
  /** How often positions have been folded. */
  private folds = 0;

  constructor(pool: KvPool, settings: CacheSettings) {
    this.pool = pool;
    this.current = settings;
    this.lane = pool.attach(this);
    this.pages = new SequencePages(pool, this.lane, headCapacities(pool.shape, settings));
    this.writeAll();
  }

  /**
   * A sequence with these books, whose pages and remainders are there and still to be written. Throws out_of_memory with
   * nothing lost.
   */
  static restore(
    pool: KvPool,
    { settings, divided, folds, seen, evicted, counts }: SequenceBooks,
  ): KvSequence {
    const sequence = new KvSequence(pool, settings);
    try {
      [sequence.divided, sequence.folds] = [divided, folds];
      [sequence.seen, sequence.evicted] = [seen, evicted];
      sequence.setCapacities(sequence.capacities(settings, seen));
      sequence.pages.setCounts(counts);
      sequence.reserve(0);
      sequence.writeAll();
      return sequence;
    } catch (error) {
      sequence.free();
      throw error;
    }
  }

  get books(): SequenceBooks {
    const { current: settings, divided, folds } = this;
    return { ...this.mark(), settings, divided, folds };
  }

  get settings(): CacheSettings {
    return this.current;
  }

  get tokensSeen(): number {
    return this.seen;
  }

  /** Whether `tokens` more would stand beyond the trained length: positions must be folded first. */
  foldsWith(tokens: number): boolean {
    const { trained } = this.pool.shape;
    return trained !== undefined && endless(this.current) && this.standing + tokens > trained;
  }

  /** Most tokens that one step may take: once positions are folded, where that can be, all stand within the trained length. */
  get longestStep(): number {
    const { trained } = this.pool.shape;
    if (trained === undefined || !endless(this.current)) return Number.POSITIVE_INFINITY;
    const stride = foldStride(trained);
    return trained - this.standing + (this.standing >= 2 * stride ? stride : 0);
  }

  /**
   * Folds positions (kernels/pages/fold.ts); the caller then turns keys on the GPU. All pages become this sequence's own.
   * Throws out_of_memory with nothing lost.
   */
  fold(): void {
    this.pages.own({ layers: this.heads.keys() });
    this.folds += 1;
    this.writeAll();
  }

  /** Where the next token stands for RoPE. */
  private get standing(): number {
    return ropePosition(this.seen, this.folds, foldStride(this.pool.shape.trained ?? 0));
  }

  /** Most slots that a head holds once `tokens` more have been run: what sizes the decode attention. */
  longestAfter(tokens: number): number {
    return this.pages.longestAfter(tokens);
  }

  /** The layers that the budget governs: neither with a window nor kept whole. */
  get compressed(): number[] {
    return compressedLayers(this.pool.shape, this.current);
  }

  /** Whether some head holds more than it may under other settings. */
  exceeds(settings: CacheSettings): boolean {
    const capacities = this.capacities(settings, this.seen);
    return this.pages.counts.some((heads, layer) =>
      heads.some((count, g) => count > capacities[layer]![g]!),
    );
  }

  /**
   * Makes room for `tokens` more, before they are run: pages to write to exist and are this sequence's own
   * (pages shared with a fork are copied first). Throws out_of_memory with nothing lost.
   */
  reserve(tokens: number): void {
    this.pool.ensureRowLength(pagesFor(this.longestAfter(tokens)));
    this.heads.forEach((_, layer) => {
      this.pages.reserve(layer, tokens, this.current);
    });
  }

  /**
   * Makes the pages of every global head this sequence's own, or with `settings` those that it may keep
   * under them, before something writes to them in place: a fork must not see it. Throws out_of_memory
   * with nothing lost.
   */
  own(settings?: CacheSettings): void {
    this.pages.own({ capacities: settings && this.capacities(settings, this.seen) });
  }

  /** The same of the pages within each head's capacity. */
  ownKept(): void {
    this.pages.own({ capacities: this.pages.capacities });
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

  /** Whether `tokens` more would make some head lose what it holds: by eviction, or since its layer has a sliding window. */
  losesWith(tokens: number): boolean {
    return this.pages.counts.some((heads, layer) =>
      heads.some((count, g) => count + tokens > this.heads[layer]![g]!.capacity),
    );
  }

  /** A point that `rewind` can go back to, as long as nothing but appends comes in between. */
  mark(): SequenceMark {
    return { seen: this.seen, evicted: this.evicted, counts: this.pages.counts };
  }

  /**
   * Books that of the tokens run since `mark` only the first `tokens` are kept; their pairs are put back on the GPU
   * by the caller. Pages that only the others needed become free.
   */
  rewind({ seen, evicted, counts }: SequenceMark, tokens: number): void {
    const before = this.pages.counts;
    this.seen = seen;
    this.evicted = evicted;
    this.pages.setCounts(counts);
    this.advance(tokens);
    for (const { head, layer, g } of this.pages) {
      if (head.count === before[layer]![g]) continue;
      this.pages.releaseBeyond(layer, head, head.count);
      this.pages.writeRow(layer, g);
    }
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
    return this.excess > 0;
  }

  /** Slots beyond capacity, at most: what an eviction may have to move. */
  get excess(): number {
    return this.pages.excess;
  }

  /** Books an eviction down to capacity and frees the pages beyond it. */
  shrink(): void {
    for (const { head, layer } of this.pages) {
      const count = Math.min(head.count, head.capacity);
      this.evicted += head.count - count;
      head.count = count;
      this.pages.releaseBeyond(layer, head, count);
    }
    this.writeAll();
  }

  /** Whether `truncate` can be used: every token seen is still in every head where it was, slot i holding position i. */
  get whole(): boolean {
    if (this.folds > 0) return false;
    return this.pages.counts.every((heads) => heads.every((count) => count === this.seen));
  }

  /**
   * Forgets all but the first `tokens` tokens; the sequence must be `whole`. Pages that become free stay in
   * the slab, for what comes instead.
   */
  truncate(tokens: number): void {
    this.seen = tokens;
    for (const { head, layer } of this.pages) {
      head.count = tokens;
      this.pages.releaseBeyond(layer, head, tokens);
    }
    this.writeAll();
  }

  /** A copy of this sequence that shares its pages until either writes to them. */
  fork(): KvSequence {
    const copy = new KvSequence(this.pool, this.current);
    copy.divided = this.divided;
    copy.seen = this.seen;
    copy.evicted = this.evicted;
    copy.folds = this.folds;
    this.pool.pageTables.copyRemainders(this.lane, copy.lane);
    copy.pages.shareOf(this.pages);
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
    for (const { head, layer } of this.pages) this.pages.releaseBeyond(layer, head, 0);
    this.pool.detach(this.lane);
  }

  usage(): SequenceUsage {
    const kept = this.global.flatMap((layer) => this.heads[layer]!.map(({ count }) => count));
    const { remembers = false } = policyOf(this.current.policy);
    return {
      tokensSeen: this.seen,
      pairsKept: kept.reduce((sum, count) => sum + count, 0),
      pairsEvicted: this.evicted,
      bytes: this.pages.bytes(remembers),
    };
  }

  // For the pool.

  pagesOf(layer: number): number[] {
    return this.pages.of(layer);
  }

  /** The pages of a layer that hold pairs, kv head by kv head. */
  storedPages(layer: number): number[] {
    return this.pages.stored(layer);
  }

  pagesWanted(layer: number): number {
    return this.pages.wanted(layer);
  }

  relocate(layer: number, move: (page: number) => number): void {
    this.pages.relocate(layer, move);
  }

  writeAll(): void {
    this.pool.pageTables.writeLane(this.lane, laneWords(this.current, this.folds));
    this.pages.writeAll();
  }

  /** [L][G] */
  private get heads(): readonly Head[][] {
    return this.pages.heads;
  }

  /** The layers without a sliding window. */
  private get global(): number[] {
    return globalLayers(this.pool.shape);
  }

  /** [L][G] once `tokens` have been seen. */
  private capacities(settings: CacheSettings, tokens: number): number[][] {
    return capacitiesAfter(this.pool, settings, tokens);
  }

  private setCapacities(capacities: readonly (readonly number[])[]): void {
    for (const { head, layer, g } of this.pages) head.capacity = capacities[layer]![g]!;
    this.writeAll();
  }
}
