import { checkCacheOptions } from "../../src/api/checks/check-cache.ts";
import type { CacheOptions, CacheUsage, Retention } from "../../src/api/types.ts";
import type { CacheSettings } from "../../src/cache/budget.ts";
import { decideSettings, headBytes, mostBytes } from "../../src/cache/byte-budget.ts";
import { withChange } from "../../src/cache/cache-options.ts";
import { pagesFor, slotBytes } from "../../src/kernels/pages/page-format.ts";

/** The default model's. */
const SHAPE = { layers: 30, heads: 9, kvHeads: 3, headDim: 64 };
const LAYER_HEADS = SHAPE.kvHeads;
const HEADS = SHAPE.layers * LAYER_HEADS;
const PAIR_BYTES = 2 * SHAPE.headDim * 2;

/** What a budget costs. */
export const COST = { heads: HEADS, pairBytes: slotBytes(SHAPE) };

/** Budget, protection and eviction as the engine has them, on counts alone. */
export class FakeCache {
  #asked: CacheOptions;
  #settings: CacheSettings;
  readonly tokens: string[] = [];
  readonly kept: number[] = [];
  #evicted = 0;

  constructor(options: CacheOptions = {}) {
    this.#asked = options;
    this.#settings = decideSettings({ shape: SHAPE }, options);
  }

  append(text: string): void {
    this.tokens.push(text);
    this.kept.push(HEADS);
    this.#evict();
  }

  configure(options: CacheOptions): CacheUsage {
    const asked = withChange(this.#asked, checkCacheOptions(options, this.#asked));
    this.#settings = decideSettings({ shape: SHAPE }, asked);
    this.#asked = asked;
    this.#evict();
    return this.usage();
  }

  reset(): void {
    this.tokens.length = this.kept.length = 0;
    this.#evicted = 0;
  }

  usage(): CacheUsage {
    const pairsKept = this.kept.reduce((sum, count) => sum + count, 0);
    return {
      ...this.#settings,
      budgetBytes: mostBytes({ shape: SHAPE }, this.#settings),
      tokensSeen: this.tokens.length,
      pairsKept,
      pairsEvicted: this.#evicted,
      bytes: pairsKept && HEADS * headBytes(SHAPE, pagesFor(pairsKept / HEADS), false),
      bytesOfStates: 0,
      bytesUncompressed: this.tokens.length * HEADS * PAIR_BYTES,
    };
  }

  retention(): Retention {
    return { heads: HEADS, tokens: [...this.tokens], kept: [...this.kept] };
  }

  #evict(): void {
    const { budget, policy, window, sinks, wholeLayers } = this.#settings;
    if (budget === "full" || policy === "full") return;
    const end = this.kept.length - window;
    /** Heads that keep every pair. */
    const whole = Math.min(HEADS, LAYER_HEADS * wholeLayers);
    const governed = this.kept.reduce((sum, count) => sum + Math.max(0, count - whole), 0);
    let surplus = governed - budget * (HEADS - whole);
    for (let round = 0; surplus > 0 && round < HEADS; round++) {
      for (let i = sinks; i < end && surplus > 0; i++) {
        const drop = Math.min(
          surplus,
          Math.max(0, this.kept[i]! - whole),
          policy === "streaming-llm" ? HEADS : worth(i, round),
        );
        this.kept[i]! -= drop;
        this.#evicted += drop;
        surplus -= drop;
      }
    }
  }
}

/** Heads that drop token `i` in a round: steady for each token, so that some are kept by many heads for long. */
function worth(i: number, round: number): number {
  const noise = Math.abs(Math.sin(i * 12.9898) * 43758.5453) % 1;
  return noise < 0.18 ? (round > 40 ? 6 : 0) : 1 + Math.floor(noise * 7);
}
