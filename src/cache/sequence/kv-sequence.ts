import { windowOf } from "../../kernels/pages/cache-shape.ts";
import type { CacheSettings } from "../budget.ts";
import type { KvPool } from "../kv-pool.ts";
import {
  capacitiesAfter,
  compressedLayers,
  headCapacities,
  headsDiffer,
} from "./head-capacities.ts";
import { laneWords } from "./lane-words.ts";
import { roomToStand } from "./room-to-stand.ts";
import type {
  SequenceBooks,
  SequenceMark,
  SequenceState,
  SequenceUsage,
} from "./sequence-books.ts";
import { SequencePages } from "./sequence-pages.ts";
import type { SequenceStates } from "./sequence-states.ts";
import { usageOf } from "./sequence-usage.ts";

/**
 * One sequence's place in the pool: a lane, and a page-table row for every (layer, kv head). Counts move
 * deterministically (count = min(capacity, count + tokens)), so the host knows them without reading back.
 * Layers with a sliding window are rings of just that many slots: no setting changes them, and what leaves
 * them counts neither as kept nor as evicted. Layers kept whole have no end.
 */
export class KvSequence {
  /** The page-table rows of its heads. */
  readonly pages: SequencePages;
  /** Where the model has layers that keep a state. */
  readonly states: SequenceStates | undefined;
  private readonly pool: KvPool;
  private state: SequenceState;
  private inBlock = false;

  constructor(pool: KvPool, settings: CacheSettings) {
    this.pool = pool;
    this.state = { settings, divided: false, folds: 0, system: 0, seen: 0, evicted: 0 };
    this.pages = new SequencePages(pool, headCapacities(pool.shape, settings));
    this.states = pool.states?.open();
    this.writeAll();
  }

  /**
   * A sequence with these books, whose pages and remainders are there and still to be written. Throws out_of_memory with
   * nothing lost.
   */
  static restore(pool: KvPool, { counts, ...state }: SequenceBooks): KvSequence {
    const sequence = new KvSequence(pool, state.settings);
    try {
      sequence.state = state;
      sequence.pages.setCapacities(sequence.capacitiesUnder(state.settings));
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
    return { ...this.state, counts: this.pages.counts };
  }

  /** Its index in the pool. */
  get lane(): number {
    return this.pages.lane;
  }

  get settings(): CacheSettings {
    return this.state.settings;
  }

  get tokensSeen(): number {
    return this.state.seen;
  }

  /** Whether `tokens` more would stand beyond the trained length: positions must be folded first. */
  foldsWith(tokens: number): boolean {
    return tokens > roomToStand(this.pool.shape, this.state).now;
  }

  /** Most tokens that one step may take: once positions are folded, where that can be, all stand within the trained length. */
  get longestStep(): number {
    return roomToStand(this.pool.shape, this.state).folded;
  }

  /**
   * Folds positions (kernels/pages/fold.ts); the caller then turns keys on the GPU. All pages become this sequence's own.
   * Throws out_of_memory with nothing lost.
   */
  fold(): void {
    this.pages.own({ layers: this.pages.heads.keys() });
    this.set({ folds: this.state.folds + 1 });
    this.writeAll();
  }

  /** The layers that the budget governs: neither with a window nor kept whole. */
  get compressed(): number[] {
    return compressedLayers(this.pool.shape, this.settings);
  }

  /** Whether some head holds more than it may under other settings. */
  exceeds(settings: CacheSettings): boolean {
    const capacities = this.capacitiesUnder(settings);
    return this.pages.some(({ head, layer, g }) => head.count > capacities[layer]![g]!);
  }

  /** [L][G]: pairs that each head may hold under other settings. */
  capacitiesUnder(settings: CacheSettings): number[][] {
    return capacitiesAfter(this.pool, settings, this.tokensSeen);
  }

  /**
   * Makes room for `tokens` more, before they are run: pages to write to exist and are this sequence's own
   * (pages shared with a fork are copied first). `drafts`: some may be taken back by `rewind`. Throws out_of_memory with
   * nothing lost.
   */
  reserve(tokens: number, drafts = false): void {
    this.pages.reserve(tokens, this.settings);
    if (tokens > 0) this.states?.reserve(drafts ? tokens : 0);
  }

  /** Accounts for `tokens` that were run. */
  advance(tokens: number): void {
    for (const layer of this.pages.heads.keys()) this.advanceLayer(layer, tokens);
    this.endBlock(tokens);
  }

  /**
   * Accounts for a block of `tokens` that one layer has taken in, before the next one does: until
   * `endBlock` the sequence is torn. `layer` is undefined for one that keeps a state.
   */
  advanceLayer(layer: number | undefined, tokens: number): void {
    this.inBlock = true;
    if (layer === undefined) return;
    const ring = windowOf(this.pool.shape, layer) > 0;
    let { evicted } = this.state;
    for (const head of this.pages.heads[layer]!) {
      const count = Math.min(head.capacity, head.count + tokens);
      if (!ring) evicted += head.count + tokens - count;
      head.count = count;
    }
    this.set({ evicted });
  }

  /** Accounts for a block of `tokens` that all layers have taken in. */
  endBlock(tokens: number): void {
    this.set({ seen: this.tokensSeen + tokens });
    this.states?.advance();
    this.inBlock = false;
  }

  /** Whether some layers have taken in a block that others have not. */
  get torn(): boolean {
    return this.inBlock;
  }

  /** Whether `tokens` more would make some head of a global layer evict. */
  evictsWith(tokens: number): boolean {
    return this.pages.some(
      ({ head, layer }) =>
        windowOf(this.pool.shape, layer) === 0 && head.count + tokens > head.capacity,
    );
  }

  /** Whether `tokens` more would make some head lose what it holds: by eviction, or since its layer has a sliding window. */
  losesWith(tokens: number): boolean {
    return this.pages.some(({ head }) => head.count + tokens > head.capacity);
  }

  /** A point that `rewind` can go back to, as long as nothing but appends comes in between. */
  mark(): SequenceMark {
    const { seen, evicted } = this.state;
    return { seen, evicted, counts: this.pages.counts };
  }

  /**
   * Books that of the tokens run since `mark` only the first `tokens` are kept; their pairs are put back on the GPU
   * by the caller. Pages that only the others needed become free.
   */
  rewind({ counts, ...before }: SequenceMark, tokens: number): void {
    const { counts: run } = this.pages;
    this.states?.rewind(tokens, this.tokensSeen - before.seen);
    this.set(before);
    this.pages.setCounts(counts);
    this.advance(tokens);
    for (const { head, layer, g } of this.pages) {
      if (head.count === run[layer]![g]) continue;
      this.pages.releaseBeyond(layer, head, head.count);
      this.pages.writeRow(layer, g);
    }
  }

  /** Takes new settings; the caller evicts down to the new capacity on the GPU, then calls `shrink`. */
  setSettings(settings: CacheSettings): void {
    this.set({ settings, divided: headsDiffer(this.pool.shape, settings, this.tokensSeen) });
    this.pages.setCapacities(this.capacitiesUnder(settings));
    this.writeAll();
  }

  get systemTokens(): number {
    return this.state.system;
  }

  /** Says how many of the first tokens are the system message. */
  setSystem(tokens: number): void {
    if (tokens === this.state.system) return;
    this.set({ system: tokens });
    this.writeAll();
  }

  /** Whether heads must go from one budget for all to budgets of their own before `tokens` more come. */
  dividesWith(tokens: number): boolean {
    const { divided, settings, seen } = this.state;
    return !divided && headsDiffer(this.pool.shape, settings, seen + tokens);
  }

  /** Gives each head its own budget; the caller evicts down to it. */
  divide(): void {
    this.set({ divided: true });
    const later = capacitiesAfter(this.pool, this.settings, Number.POSITIVE_INFINITY);
    this.pages.setCapacities(later);
    this.writeAll();
  }

  /** Books an eviction down to capacity and frees the pages beyond it. */
  shrink(): void {
    let { evicted } = this.state;
    for (const { head, layer } of this.pages) {
      const count = Math.min(head.count, head.capacity);
      evicted += head.count - count;
      head.count = count;
      this.pages.releaseBeyond(layer, head, count);
    }
    this.set({ evicted });
    this.writeAll();
  }

  /** Whether every token seen is still in every head where it was, slot i holding position i. */
  get whole(): boolean {
    const { folds, seen } = this.state;
    return folds === 0 && !this.pages.some(({ head }) => head.count !== seen);
  }

  /**
   * Forgets all but the first `tokens` tokens, which must be in reach (going-back.ts). Pages that become free stay in the
   * slab, for what comes instead.
   */
  truncate(tokens: number): void {
    if (tokens < this.tokensSeen) this.states?.truncate(tokens);
    this.set({ seen: tokens });
    for (const { head, layer } of this.pages) {
      head.count = tokens;
      this.pages.releaseBeyond(layer, head, tokens);
    }
    this.writeAll();
  }

  /** A copy of this sequence that shares its pages until either writes to them. */
  fork(): KvSequence {
    const copy = new KvSequence(this.pool, this.settings);
    copy.state = this.state;
    if (this.states) copy.states?.shareOf(this.states);
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
    this.states?.free();
    this.pages.giveWay();
  }

  usage(): SequenceUsage {
    return usageOf(this.pool.shape, this.books, this.pages, this.states);
  }

  private set(changes: Partial<SequenceState>): void {
    this.state = { ...this.state, ...changes };
  }

  private writeAll(): void {
    this.pages.record = laneWords(this.state);
    this.pages.writeAll();
  }
}
