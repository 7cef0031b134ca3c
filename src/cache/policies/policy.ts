/**
 * A static eviction policy: one score a key, computed when the pair is written, higher = keep.
 * score = dot * (key . filter) + norm * |key| + position * pos + random * hash(pos), evaluated by
 * shaders/lib/score.wgsl on the post-RoPE key.
 */
export interface Policy {
  readonly name: string;
  /** One line for menus and help texts. */
  readonly summary: string;
  /** Needs calibrated filters. */
  readonly usesFilters: boolean;
  /** Whether anything is ever dropped. */
  readonly evicts: boolean;
  readonly score: {
    readonly dot: number;
    readonly norm: number;
    readonly position: number;
    readonly random: number;
  };
}
