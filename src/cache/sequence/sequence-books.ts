/** What the host knows of a sequence. */
import type { CacheSettings } from "../budget.ts";

/** Pairs and pages of a sequence, and the pairs that it has dropped. */
export interface SequenceUsage {
  tokensSeen: number;
  /** Pairs in the layers without a sliding window, whole layers included; so is pairsEvicted. */
  pairsKept: number;
  pairsEvicted: number;
  /**
   * Pages in use (keys, values, positions, scores), the used part of the page tables, what heads drop, in sum, and
   * states.
   */
  bytes: number;
  /** Of these, the states of layers that keep one in place of keys and values: the present one, and those to go back to. */
  bytesOfStates: number;
}

/** All that the host knows of a sequence but its counts. */
export interface SequenceState {
  readonly settings: CacheSettings;
  /** Whether heads have budgets of their own by now: as long as all fits, each keeps everything. */
  readonly divided: boolean;
  /** How often positions have been folded. */
  readonly folds: number;
  /** How many of the first tokens are the system message. */
  readonly system: number;
  /** Tokens. */
  readonly seen: number;
  /** Pairs. */
  readonly evicted: number;
}

/** All that the host knows of a sequence: with its pages and remainders, another pool can go on with it. */
export interface SequenceBooks extends SequenceState {
  /** [L][G] */
  readonly counts: readonly (readonly number[])[];
}

/** The part of the books that steps change. */
export type SequenceMark = Pick<SequenceBooks, "seen" | "evicted" | "counts">;
