import type { KvSequence } from "../cache/sequence/kv-sequence.ts";

/** A chat's part of the cache, as others see it: they may share its pages, or need them. */
export interface CacheHolder {
  /** The sequence, if it is in the cache. */
  readonly alive: KvSequence | undefined;
  /** Ids of the tokens that the sequence has seen. */
  readonly seen: readonly number[];
  /** Whether it may give way to others. */
  readonly idle: boolean;
  /** Whether it is a state of a chat to go back to: it gives way before any chat does. */
  readonly spare: boolean;
  /** Frees the pages for those who need them at once. */
  giveWay(): void;
  /** Does at once what may need room, which this one must not give. */
  using<T>(work: () => T): T;
}

/** The chats that are in the cache, in the order of their last use. */
export class CacheHolders extends Set<CacheHolder> {
  private gone = new Set<CacheHolder>();

  /** Makes a holder that is in the cache the one that was used last. */
  touch(holder: CacheHolder): void {
    if (this.delete(holder)) this.add(holder);
  }

  /**
   * Frees the cache of the chat that was used longest ago, of those that answer nothing, and before all of them the states
   * that chats could go back to; false where there is none.
   */
  readonly giveWay = (): boolean => {
    const idle = [...this].filter((holder) => holder.idle);
    const holder = idle.find(({ spare }) => spare) ?? idle[0];
    if (!holder) return false;
    holder.giveWay();
    if (!holder.spare) this.gone.add(holder);
    return true;
  };

  /** Holders whose cache gave way to others' since the last call. */
  takeGone(): ReadonlySet<CacheHolder> {
    const { gone } = this;
    this.gone = new Set();
    return gone;
  }
}
