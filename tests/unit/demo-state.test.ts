import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BUDGETS, budgetStep } from "../../demo/budgets.ts";
import { FakeCache } from "../../demo/fake/fake-cache.ts";
import { formatBytes, visibleToken } from "../../demo/format.ts";
import { layOut, summarise } from "../../demo/retention-layout.ts";
import { Announcer } from "../../demo/state/announcer.ts";
import { CacheStore } from "../../demo/state/cache-store.ts";
import { type KvSample, thin } from "../../demo/state/kv-history.ts";
import { Rate } from "../../demo/state/rate.ts";
import type { CacheOptions, CacheUsage, Engine } from "../../src/api/types.ts";

const usage = (tokensSeen: number, options: CacheOptions = {}): CacheUsage => ({
  budget: 512,
  budgetBytes: 264 * 90 * 512,
  policy: "q-filters",
  window: 64,
  sinks: 4,
  wholeLayers: 0,
  protect: "system",
  reread: false,
  ...options,
  tokensSeen,
  pairsKept: 90 * tokensSeen,
  pairsEvicted: 0,
  bytes: 264 * 90 * tokensSeen,
  bytesOfStates: 0,
  bytesUncompressed: 256 * 90 * tokensSeen,
});

describe("rate", () => {
  it("forgets what is older than its span", () => {
    const rate = new Rate(1000);
    for (let i = 0; i <= 10; i++) rate.add(i * 100, i * 500);
    expect(rate.perSecond()).toBeCloseTo(200);
    expect(rate.secondsLeft(3000)).toBeCloseTo(10);
  });

  it("knows nothing from one sample, and starts over when the amount shrinks", () => {
    const rate = new Rate();
    rate.add(100, 0);
    expect(rate.perSecond()).toBeNull();
    rate.add(500, 1000);
    rate.add(10, 2000);
    expect(rate.secondsLeft(100)).toBeNull();
  });
});

describe("retention strip", () => {
  it("gives every token one bar, within the rows and columns it says", () => {
    const kept = fc.array(fc.integer({ min: 0, max: 90 }), { minLength: 1, maxLength: 9000 });
    fc.assert(
      fc.property(kept, fc.integer({ min: 60, max: 800 }), (counts, width) => {
        const { rows, columns, cells } = layOut({ heads: 90, tokens: [], kept: counts }, width);
        expect(rows).toBeLessThanOrEqual(3);
        expect(cells.length).toBeLessThanOrEqual(rows * columns);
        expect(width / columns).toBeGreaterThanOrEqual(3);
        expect(cells[0]!.from).toBe(0);
        expect(cells.at(-1)!.to).toBe(counts.length);
        for (let i = 1; i < cells.length; i++) expect(cells[i]!.from).toBe(cells[i - 1]!.to);
        const pairs = cells.reduce((sum, { from, to, share }) => sum + share * 90 * (to - from), 0);
        expect(pairs).toBeCloseTo(
          counts.reduce((sum, count) => sum + count, 0),
          3,
        );
      }),
      { numRuns: 60 },
    );
  });

  it("sums up", () => {
    const summary = summarise({ heads: 4, tokens: ["a", "b", "c", "d"], kept: [4, 0, 2, 0] });
    expect(summary).toEqual({ tokens: 4, whole: 1, part: 1, gone: 2, share: 6 / 16 });
  });
});

describe("announcer", () => {
  it("speaks whole sentences, seldom, and everything once", () => {
    const announcer = new Announcer(1000);
    announcer.begin();
    const text = "One **bold** claim. Two";
    expect(announcer.next(text, 5000)).toBe("One bold claim.");
    expect(announcer.next(`${text} more. Three`, 5500)).toBe("");
    expect(announcer.next(`${text} more. Three`, 6500)).toBe("Two more.");
    expect(announcer.rest(`${text} more. Three`)).toBe("Three");
  });
});

describe("curve of KV bytes", () => {
  it("stays short, keeps both ends, and starts over with the conversation", () => {
    let history: readonly KvSample[] = [];
    for (let tokens = 0; tokens <= 5000; tokens += 3) history = thin(history, usage(tokens));
    expect(history.length).toBeLessThanOrEqual(240);
    expect(history[0]!.tokens).toBe(0);
    expect(history.at(-1)!.tokens).toBe(4998);
    expect(thin(history, usage(10))).toHaveLength(1);
  });
});

describe("budget steps", () => {
  it("finds every step again, and the nearest by ratio", () => {
    for (const [index, budget] of BUDGETS.entries()) expect(budgetStep(budget)).toBe(index);
    expect(BUDGETS[budgetStep(500)]).toBe(512);
    expect(BUDGETS[budgetStep(100_000)]).toBe(2048);
  });
});

describe("cache settings", () => {
  const engineWith = (
    usage: () => CacheUsage,
    configure: (options: CacheOptions) => Promise<CacheUsage>,
  ): Engine => {
    const cache = {
      usage,
      configure,
      retention: async () => ({ heads: 1, tokens: [], kept: [] }),
    };
    return { cache, memory: () => null, info: () => null } as unknown as Engine;
  };

  /** An engine's cache that keeps what it was asked for, and what it was asked. */
  const attached = (): { store: CacheStore; cache: FakeCache; asked: CacheOptions[] } => {
    const cache = new FakeCache();
    const asked: CacheOptions[] = [];
    const store = new CacheStore();
    store.attach(
      engineWith(
        () => cache.usage(),
        async (options) => {
          asked.push(options);
          return cache.configure(options);
        },
      ),
    );
    return { store, cache, asked };
  };
  const request = async (store: CacheStore, options: CacheOptions): Promise<void> => {
    store.request(options);
    await vi.runAllTimersAsync();
  };
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("sends the last of many wishes, and returns to the truth when refused", async () => {
    const { store, asked } = attached();
    await request(store, { window: 40 });
    for (const budget of [384, 256, 28]) store.request({ budget });
    expect(store.shown.budget).toBe(28);
    await vi.runAllTimersAsync();
    expect(asked).toEqual([{ window: 40 }, { budget: 28 }]);
    expect(store.shown.budget).toBe(512);
    expect(store.refusal?.error.code).toBe("invalid_argument");
    await request(store, store.refusal!.remedy!);
    expect(store.refusal).toBeNull();
    expect(store.shown).toMatchObject({ budget: 28, window: 12, sinks: 4 });
  });

  it("offers no other window where the window was not what was refused", async () => {
    const store = new CacheStore();
    store.attach(
      engineWith(
        () => usage(0),
        async () => {
          throw new Error("no");
        },
      ),
    );
    await request(store, { budget: 64 });
    expect(store.refusal?.error.message).toBe("no");
    expect(store.refusal?.remedy).toBeNull();
  });

  it("leaves each policy its own window, and keeps one that was chosen", async () => {
    const { store } = attached();
    expect(store.shown).toMatchObject({ policy: "winnow", window: 24, sinks: 4 });
    for (const [policy, window] of [
      ["lag-kv", 128],
      ["q-filters", 64],
      ["winnow", 24],
    ] as const) {
      await request(store, { policy });
      expect(store.shown).toMatchObject({ policy, window });
    }
    await request(store, { window: 40 });
    await request(store, { policy: "lag-kv" });
    expect(store.shown).toMatchObject({ policy: "lag-kv", window: 40 });
  });

  it("comes back from full to the policy that was asked for, though another stood in for it", async () => {
    const asked: CacheOptions[] = [];
    const cache = new FakeCache();
    const store = new CacheStore();
    const standIn = (): CacheUsage => {
      const { policy, ...rest } = cache.usage();
      return { ...rest, policy: policy === "full" ? policy : "k-norm" };
    };
    store.attach(
      engineWith(standIn, async (options) => {
        asked.push(options);
        cache.configure(options);
        return standIn();
      }),
    );
    expect(store.shown.policy).toBe("k-norm");
    await request(store, { budget: "full" });
    await request(store, { budget: 256 });
    expect(asked.at(-1)).toEqual({ budget: 256, policy: "winnow" });
  });

  it("puts a chat's settings in force in the next engine, and those of another chat are its own", async () => {
    const { store } = attached();
    await request(store, { window: 40, budget: 128 });
    const fresh = new FakeCache();
    store.attach(
      engineWith(
        () => fresh.usage(),
        async (options) => fresh.configure(options),
      ),
    );
    await vi.runAllTimersAsync();
    expect(fresh.usage()).toMatchObject({ budget: 128, window: 40 });
    expect(store.chosen).toEqual({ window: 40, budget: 128 });
    store.open("another chat", {});
    expect(store.chosen).toEqual({});
    await request(store, { budget: 256 });
    expect(store.chosen).toEqual({ budget: 256 });
  });
});

describe("figures as text", () => {
  it("keeps three digits and never rounds up into a fourth", () => {
    expect([0, 999, 99_960, 999_499, 999_500, 98_362_432, 1.5e9].map(formatBytes)).toEqual([
      "0 B",
      "999 B",
      "100 kB",
      "999 kB",
      "1.00 MB",
      "98.4 MB",
      "1.50 GB",
    ]);
  });

  it("makes white space visible", () => {
    expect(["\n", "  ", " the", ""].map(visibleToken)).toEqual(["↵", "␣␣", " the", "(control)"]);
  });
});
