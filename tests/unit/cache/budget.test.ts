import { describe, expect, it } from "vitest";
import { checkCacheOptions } from "../../../src/api/checks/check-cache.ts";
import {
  capacityOf,
  checkSettings,
  resolveCacheSettings,
  UNLIMITED,
} from "../../../src/cache/budget.ts";
import type { CacheOptions } from "../../../src/cache/cache-options.ts";

describe("cache.reread", () => {
  it("goes with winnow alone, and not with whole layers", () => {
    expect(checkCacheOptions({ reread: true })).toEqual({ reread: true });
    expect(resolveCacheSettings({ reread: true, budget: "full" }).reread).toBe(true);
    for (const other of [{ policy: "k-norm" }, { policy: "full" }, { wholeLayers: 1 }])
      expect(() => checkCacheOptions({ reread: true, ...other })).toThrow(/^cache.reread: /);
    // What is in force counts too.
    expect(() => checkCacheOptions({ policy: "snapkv" }, { reread: true })).toThrow("cache.reread");
    expect(checkCacheOptions({ reread: false }, { policy: "snapkv" })).toEqual({ reread: false });
  });

  it.each([1, "yes", {}])("refuses %j", (reread) => {
    expect(() => checkCacheOptions({ reread })).toThrow(/cache.reread: .*true or false/);
  });
});

describe("resolveCacheSettings", () => {
  it("has the documented defaults", () => {
    expect(resolveCacheSettings({})).toEqual({
      budget: 512,
      policy: "winnow",
      window: 24,
      sinks: 4,
      wholeLayers: 0,
      protect: "system",
      reread: false,
    });
    expect(capacityOf(resolveCacheSettings({}))).toBe(512);
  });

  it.each([
    [512, 64],
    [129, 64],
    [128, 64],
    [100, 50],
    [33, 16],
    [9, 4],
  ])("budget %i: a window that was not asked for is %i", (budget, window) => {
    const settings = resolveCacheSettings({ budget, policy: "q-filters" });
    expect(settings).toMatchObject({ budget, window, sinks: 4 });
  });

  it.each([
    [512, 24],
    [48, 24],
    [33, 16],
  ])("budget %i: winnow's own window is %i", (budget, window) => {
    expect(resolveCacheSettings({ budget })).toMatchObject({ budget, window, sinks: 4 });
  });

  it("keeps at least the newest token", () => {
    const settings = resolveCacheSettings({ budget: 2, sinks: 0 });
    expect(settings).toMatchObject({ budget: 2, window: 1 });
    expect(() => resolveCacheSettings({ budget: 1, sinks: 0 })).toThrow(/window of 1 and 0 sinks/);
  });

  it.each<CacheOptions>([
    { budget: "full" },
    { budget: 64, policy: "full" },
    { budget: "full", policy: "k-norm" },
    { budget: 2, policy: "full", window: 500, sinks: 500 },
  ])("%o never evicts", (request) => {
    const settings = resolveCacheSettings(request);
    expect(settings.budget).toBe("full");
    expect(capacityOf(settings)).toBe(UNLIMITED);
  });

  it("takes a window and sinks that just fit", () => {
    const request: CacheOptions = { budget: 96, window: 91, sinks: 4, policy: "streaming-llm" };
    expect(resolveCacheSettings(request)).toEqual({
      ...request,
      wholeLayers: 0,
      protect: "system",
      reread: false,
    });
  });

  it("takes as many whole layers as the model has, and says how many that are", () => {
    expect(resolveCacheSettings({ wholeLayers: 2 })).toMatchObject({ budget: 512, wholeLayers: 2 });
    expect(resolveCacheSettings({ wholeLayers: 30 }, 30).wholeLayers).toBe(30);
    expect(resolveCacheSettings({ budget: "full", wholeLayers: 2 }, 30).wholeLayers).toBe(2);
    const message = /cache\.wholeLayers: must be at most 30, the layers of the model, got 31/;
    expect(() => resolveCacheSettings({ wholeLayers: 31 }, 30)).toThrow(message);
    expect(() => resolveCacheSettings({ policy: "full", wholeLayers: 31 }, 30)).toThrow(message);
  });

  it.each<[string, unknown]>([
    ["budget 0", { budget: 0 }],
    ["negative budget", { budget: -5 }],
    ["half a pair", { budget: 64.5 }],
    ["budget NaN", { budget: Number.NaN }],
    ["budget infinite", { budget: Number.POSITIVE_INFINITY }],
    ["budget beyond 2^24", { budget: 2 ** 24 + 1 }],
    ["budget a word", { budget: "half" }],
    ["bad budget under policy full", { budget: -1, policy: "full" }],
    ["window 0", { window: 0 }],
    ["window in parts", { window: 1.5 }],
    ["negative sinks", { sinks: -1 }],
    ["negative whole layers", { wholeLayers: -1 }],
    ["a part of a layer", { wholeLayers: 1.5 }],
  ])("%s: the API explains it, and inside it is a broken invariant", (_name, request) => {
    const explained = expect.objectContaining({
      code: "invalid_argument",
      message: expect.stringMatching(/^cache\.\w+: must be /),
    });
    expect(() => checkCacheOptions(request)).toThrow(explained);
    const broken = expect.objectContaining({ code: "internal" });
    expect(() => resolveCacheSettings(request as CacheOptions)).toThrow(broken);
  });

  it.each<[string, unknown, RegExp]>([
    ["an unknown policy", { policy: "lru" }, /^cache.policy: must be one of winnow, .* not "lru"/],
    ["an inherited name", { policy: "toString", bytes: 1 << 20 }, /^cache.policy: .*"toString"/],
    ["window = budget", { budget: 64, window: 64 }, /window of 64 and 4 sinks/],
    ["window + sinks = budget", { budget: 68, window: 64 }, /68 pairs leave no room/],
    ["sinks fill the budget", { budget: 8, sinks: 4 }, /window of 4 and 4 sinks/],
  ])("refuses %s", (_name, request, message) => {
    const invalid = expect.objectContaining({ code: "invalid_argument" });
    expect(() => checkSettings(request as CacheOptions)).toThrow(invalid);
    expect(() => checkSettings(request as CacheOptions)).toThrow(message);
  });
});
