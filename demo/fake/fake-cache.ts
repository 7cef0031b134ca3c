import { checkCacheOptions } from "../../src/api/checks/validate-cache.ts";
import type { CacheOptions, CacheUsage, Retention } from "../../src/api/types.ts";
import { type CacheSettings, resolveCacheSettings } from "../../src/cache/budget.ts";

/** The default model's shape: 30 layers, 3 kv heads, 64 values per head, f16. */
const HEADS = 90;
const LAYER_HEADS = 3;
const PAIR_BYTES = 2 * 64 * 2;
const SLOT_BYTES = PAIR_BYTES + 8;
const PAGE = 16;
const LAYERS = HEADS / LAYER_HEADS;

/** Budget, protection and eviction as the engine has them, on counts alone. */
export class FakeCache {
  #asked: CacheOptions;
  #settings: CacheSettings;
  readonly tokens: string[] = [];
  readonly kept: number[] = [];
  #evicted = 0;

  constructor(options: CacheOptions = {}) {
    this.#asked = options;
    this.#settings = resolveCacheSettings(options, LAYERS);
  }

  append(text: string): void {
    this.tokens.push(text);
    this.kept.push(HEADS);
    this.#evict();
  }

  configure(options: CacheOptions): CacheUsage {
    const asked = { ...this.#asked, ...checkCacheOptions(options, this.#asked) };
    this.#settings = resolveCacheSettings(asked, LAYERS);
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
    const pages = Math.ceil(pairsKept / HEADS / PAGE) * HEADS;
    return {
      ...this.#settings,
      tokensSeen: this.tokens.length,
      pairsKept,
      pairsEvicted: this.#evicted,
      bytes: pages * (PAGE * SLOT_BYTES + 4),
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
