import { WinnowError } from "../../errors.ts";
import type { BlockAllocator } from "../block-allocator.ts";
import { mostCheckpoints } from "../state-bytes.ts";

/** The slots that sequences share. */
export interface SlotPool {
  readonly allocator: BlockAllocator;
  /** Bytes of one slot, in all layers. */
  readonly slotBytes: number;
  /** Every sequence's states. */
  readonly sequences: Set<SequenceStates>;
  /** `count` slots that nobody else holds. Throws out_of_memory with nothing changed. */
  take(count: number): number[];
  read(slot: number): Promise<Uint32Array<ArrayBuffer>>;
  write(slot: number, words: Uint32Array): void;
}

/** Where a row of a step finds its sequence's state, and where the one behind it goes: slots of the pool. */
export interface StateMove {
  /** Undefined: nothing was read yet. */
  readonly source: number | undefined;
  readonly to: number;
}

/** A state that the sequence could go back to. */
interface Checkpoint {
  readonly tokens: number;
  readonly slot: number;
}

/**
 * The states of one sequence: the present one, those of a step that is under way or could be taken back, and checkpoints. A
 * state cannot be cut back to fewer tokens, so whatever may be wanted again is held, and steps write elsewhere.
 */
export class SequenceStates {
  private readonly pool: SlotPool;
  /** After the tokens seen; undefined where there are none. */
  private present: number | undefined;
  /** What the step under way writes; none where it writes to the present one. */
  private coming: readonly number[] = [];
  /** Behind each token of the last step but its last one, where these were kept. */
  private passed: readonly number[] = [];
  private checkpoints: readonly Checkpoint[] = [];

  constructor(pool: SlotPool) {
    this.pool = pool;
    pool.sequences.add(this);
  }

  /** Takes what another sequence has, and shares it. */
  shareOf(other: SequenceStates): void {
    [this.present, this.checkpoints] = [other.present, other.checkpoints];
    for (const slot of this.slots) this.pool.allocator.retain(slot);
  }

  /**
   * Makes sure that a step has slots to write to: the present one where nobody else holds it. `each`: so many rows have
   * one of their own. What the step before could have taken back is let go. Throws out_of_memory with nothing lost.
   */
  reserve(each = 0): void {
    this.settle();
    const { present, pool } = this;
    const own = present !== undefined && pool.allocator.referencesOf(present) === 1;
    if (own && each === 0) return;
    try {
      this.coming = pool.take(Math.max(1, each));
    } catch (error) {
      // What could be gone back to is worth less than going on.
      if (this.checkpoints.length === 0) throw error;
      this.forgetCheckpoints();
      this.reserve(each);
    }
  }

  /** Nothing of the last step will be taken back. */
  settle(): void {
    this.release([...this.coming, ...this.passed]);
    this.coming = this.passed = [];
  }

  /** The moves of the step under way: one per row where each has a state of its own, else one. */
  get moves(): StateMove[] {
    const { present, coming } = this;
    if (coming.length === 0) return [{ source: present, to: present! }];
    return coming.map((to, row) => ({ source: row === 0 ? present : coming[row - 1], to }));
  }

  /** The step is submitted. */
  advance(): void {
    const last = this.coming.at(-1);
    if (last === undefined) return;
    this.passed = this.coming.slice(0, -1);
    this.coming = [];
    this.replace(last);
  }

  /** Of the `run` rows of the last step, which kept each one's state, only the first `rows` count: at least one. */
  rewind(rows: number, run: number): void {
    const all = [...this.passed, this.present!];
    if (all.length !== run)
      throw new WinnowError("internal", `${all.length} states of the last ${run} tokens are left`);
    this.release(all.slice(rows));
    this.passed = all.slice(0, rows - 1);
    this.present = all[rows - 1];
  }

  /** The most of `tokens` tokens that `truncate` can go back to, where `seen` were read: 0 if there is no state for fewer. */
  reach(tokens: number, seen: number): number {
    if (tokens >= seen) return seen;
    return this.checkpoints.findLast((point) => point.tokens <= tokens)?.tokens ?? 0;
  }

  /** Goes back to a checkpoint; later ones are let go. */
  truncate(tokens: number): void {
    const point = this.checkpoints.find((one) => one.tokens === tokens);
    if (!point) throw new WinnowError("internal", `there is no state of ${tokens} tokens`);
    this.pool.allocator.retain(point.slot);
    this.replace(point.slot);
    const later = this.checkpoints.filter((one) => one.tokens > tokens);
    this.release(later.map(({ slot }) => slot));
    this.checkpoints = this.checkpoints.filter((one) => one.tokens <= tokens);
  }

  /** Holds the present state, of so many tokens. The first one stays longest: chats begin alike. */
  checkpoint(tokens: number): void {
    const { present, pool } = this;
    if (present === undefined || this.checkpoints.at(-1)?.tokens === tokens) return;
    pool.allocator.retain(present);
    const points = [...this.checkpoints, { tokens, slot: present }];
    const most = mostCheckpoints(pool.slotBytes);
    if (points.length > most) this.release(points.splice(1, 1).map(({ slot }) => slot));
    this.checkpoints = points;
  }

  forgetCheckpoints(): void {
    this.release(this.checkpoints.map(({ slot }) => slot));
    this.checkpoints = [];
  }

  /** Bytes of the present state and of those that could be gone back to. */
  get bytes(): number {
    const held = new Set([this.present, ...this.checkpoints.map(({ slot }) => slot)]);
    held.delete(undefined);
    return held.size * this.pool.slotBytes;
  }

  /** Every slot that is held, as often as it is. */
  get slots(): number[] {
    const { present, coming, passed, checkpoints } = this;
    const now = present === undefined ? [] : [present];
    return [...now, ...coming, ...passed, ...checkpoints.map(({ slot }) => slot)];
  }

  /** Takes new numbers for the slots it holds. */
  relocate(move: (slot: number) => number): void {
    if (this.present !== undefined) this.present = move(this.present);
    this.coming = this.coming.map(move);
    this.passed = this.passed.map(move);
    this.checkpoints = this.checkpoints.map(({ tokens, slot }) => ({ tokens, slot: move(slot) }));
  }

  /** The present states, as words; undefined where nothing was read. */
  async read(): Promise<Uint32Array<ArrayBuffer> | undefined> {
    return this.present === undefined ? undefined : this.pool.read(this.present);
  }

  /** Makes `words`, which `read` gave, the present states. Throws out_of_memory. */
  write(words: Uint32Array): void {
    const [slot] = this.pool.take(1);
    this.replace(slot!);
    this.pool.write(slot!, words);
  }

  /** Lets go of everything; the sequence must not be used again. */
  free(): void {
    this.release(this.slots);
    this.pool.sequences.delete(this);
  }

  private replace(slot: number): void {
    if (this.present !== undefined) this.release([this.present]);
    this.present = slot;
  }

  private release(slots: readonly number[]): void {
    for (const slot of slots) this.pool.allocator.release(slot);
  }
}
