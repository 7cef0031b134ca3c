import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { resolveCacheSettings } from "../../../src/cache/budget.ts";
import { KvPool } from "../../../src/cache/kv-pool.ts";
import { KvSequence } from "../../../src/cache/sequence/kv-sequence.ts";
import { fakeGpu, setGpuGlobals, wordsOf } from "./fake-gpu.ts";

const SHAPE = { layers: 2, heads: 2, kvHeads: 2, headDim: 8 };
const P = 32;
const PAGE_WORDS = P * (SHAPE.headDim + 2);

/** A chat as it ought to be: for each layer and kv head, what each slot holds. */
interface Chat {
  sequence: KvSequence;
  slots: number[][];
  /** What each has dropped, in sum: one number. */
  dropped: number[];
  seen: number;
}

/** What the shaders do to slabs and page tables, with one number in place of a pair. */
class Simulation {
  readonly pool: KvPool;
  readonly chats: Chat[] = [];
  private mark = 0;

  constructor(memoryLimit = Number.POSITIVE_INFINITY) {
    this.pool = new KvPool(fakeGpu(), SHAPE, { blockRows: 128, memoryLimit });
  }

  open(budget: number | "full"): Chat {
    const sequence = new KvSequence(this.pool, settings(budget));
    const chat = { sequence, slots: [[], [], [], []], dropped: [0, 0, 0, 0], seen: 0 };
    this.chats.push(chat);
    return chat;
  }

  append(chat: Chat, tokens: number): void {
    chat.sequence.reserve(tokens);
    this.each(chat, (slots, row, slab) => {
      const capacity = row[1]!;
      for (let n = 0; n < tokens; n += 1) {
        this.mark += 1;
        const slot = slots.length < capacity ? slots.length : (this.mark * 7919) % capacity;
        slots[slot] = this.mark;
        slab[wordOf(row, slot)] = this.mark;
      }
      row[0] = slots.length;
    });
    this.eachRemainder(chat, (remainder, i) => {
      chat.dropped[i]! += this.mark + i;
      remainder.fill(chat.dropped[i]!);
    });
    chat.seen += tokens;
    chat.sequence.advance(tokens);
  }

  configure(chat: Chat, budget: number | "full", wholeLayers = 0): void {
    const { sequence } = chat;
    const wanted = settings(budget, wholeLayers);
    const exceeds = sequence.exceeds(wanted);
    sequence.setSettings(wanted);
    const { pages } = sequence;
    expect(pages.excess > 0).toBe(exceeds);
    if (exceeds) pages.own({ capacities: pages.capacities }); // as Compressor.shrink does
    this.each(chat, (slots, row, slab) => {
      const capacity = row[1]!;
      // The newest stay, in the slots that there are: any choice would do.
      const kept = slots.slice(Math.max(0, slots.length - capacity));
      kept.forEach((mark, slot) => {
        slab[wordOf(row, slot)] = mark;
      });
      slots.splice(0, slots.length, ...kept);
      row[0] = slots.length;
    });
    sequence.shrink();
    this.pool.trim();
  }

  fork(chat: Chat): void {
    const slots = chat.slots.map((each) => [...each]);
    const dropped = [...chat.dropped];
    this.chats.push({ sequence: chat.sequence.fork(), slots, dropped, seen: chat.seen });
  }

  free(chat: Chat): void {
    chat.sequence.free();
    this.chats.splice(this.chats.indexOf(chat), 1);
  }

  /** Checks every chat's pages, counts and figures, and that no page is lost. */
  check(): void {
    this.pool.checkIntegrity();
    let owned = 0;
    for (const chat of this.chats) {
      let pages = 0;
      let pairs = 0;
      this.each(chat, (slots, row, slab) => {
        expect(row[0]).toBe(slots.length);
        expect(slots.map((_, slot) => slab[wordOf(row, slot)])).toEqual(slots);
        pages += Math.ceil(slots.length / P);
        pairs += slots.length;
      });
      this.eachRemainder(chat, (remainder, i) => {
        expect(remainder.every((word) => word === chat.dropped[i])).toBe(true);
      });
      owned += pages;
      const { pairsKept, pairsEvicted, tokensSeen, bytes } = chat.sequence.usage();
      expect(pairsKept).toBe(pairs);
      expect(tokensSeen).toBe(chat.seen);
      expect(pairsKept + pairsEvicted).toBe(4 * chat.seen);
      expect(bytes).toBe(pages * PAGE_WORDS * 4 + (pages + 8) * 4);
    }
    const used = this.pool.allocators.reduce((sum, allocator) => sum + allocator.used, 0);
    expect(used).toBeLessThanOrEqual(owned);
    const { slabs, tables, lanes } = this.pool;
    const bytes = [...slabs, tables, lanes].reduce((sum, { size }) => sum + size, 0);
    expect(this.pool.gpu.ledger.report()).toMatchObject({ kv: bytes, staging: 0 });
  }

  private eachRemainder(chat: Chat, use: (remainder: Uint32Array, i: number) => void) {
    for (let i = 0; i < 4; i += 1) {
      const row = this.pool.rowWord(chat.sequence.lane, i >> 1, i & 1);
      const at = row + 2 + this.pool.maxPages;
      use(wordsOf(this.pool.tables).subarray(at, at + 1 + 2 * SHAPE.headDim), i);
    }
  }

  /** Calls `use` with the slots, the page-table row and the slab of every (layer, kv head). */
  private each(chat: Chat, use: (slots: number[], row: Uint32Array, slab: Uint32Array) => void) {
    for (let layer = 0; layer < 2; layer += 1)
      for (let g = 0; g < 2; g += 1) {
        const at = this.pool.rowWord(chat.sequence.lane, layer, g);
        const row = wordsOf(this.pool.tables).subarray(at, at + this.pool.maxPages + 2);
        use(chat.slots[layer * 2 + g]!, row, wordsOf(this.pool.slabs[layer]!));
      }
  }
}

const settings = (budget: number | "full", wholeLayers = 0) =>
  resolveCacheSettings({ budget, policy: "k-norm", window: 1, sinks: 0, wholeLayers });

const wordOf = (row: Uint32Array, slot: number): number =>
  row[2 + Math.floor(slot / P)]! * PAGE_WORDS + (slot % P) * 4;

describe("page tables", () => {
  beforeAll(setGpuGlobals);

  it("hold what each chat wrote, whatever the others do: appends, forks, budgets, ends", () => {
    const budget = fc.oneof(fc.integer({ min: 2, max: 150 }), fc.constant("full" as const));
    const which = fc.nat(20);
    const operation = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.tuple(fc.constant("append"), which, fc.integer({ min: 1, max: 70 })),
      },
      { weight: 2, arbitrary: fc.tuple(fc.constant("configure"), which, budget) },
      {
        weight: 2,
        arbitrary: fc.tuple(fc.constant("whole"), which, fc.integer({ max: 2, min: 0 })),
      },
      { weight: 2, arbitrary: fc.tuple(fc.constant("fork"), which, fc.constant(0)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant("free"), which, fc.constant(0)) },
      { weight: 1, arbitrary: fc.tuple(fc.constant("open"), which, budget) },
    );
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 40 }), (operations) => {
        const simulation = new Simulation();
        simulation.open(40);
        for (const [name, n, value] of operations) {
          const chat = simulation.chats[n % simulation.chats.length];
          if (!chat) simulation.open(40);
          else if (name === "open") simulation.open(value as number | "full");
          else if (name === "append") simulation.append(chat, value as number);
          else if (name === "configure") simulation.configure(chat, value as number | "full");
          else if (name === "whole") simulation.configure(chat, 40, value as number);
          else if (name === "fork") simulation.fork(chat);
          else simulation.free(chat);
          simulation.check();
        }
        for (const chat of [...simulation.chats]) simulation.free(chat);
        for (const { used, capacity } of simulation.pool.allocators) {
          expect(used).toBe(0);
          expect(capacity).toBe(0);
        }
      }),
      { numRuns: 150 },
    );
  });

  it("lose nothing where memory runs out", () => {
    const simulation = new Simulation(60_000);
    const chat = simulation.open("full");
    const tight = expect.objectContaining({ code: "out_of_memory" });
    expect(() => {
      for (let n = 0; n < 1000; n += 1) simulation.append(chat, 5);
    }).toThrow(tight);
    simulation.pool.checkIntegrity();
    expect(chat.seen).toBeGreaterThan(100);
    expect(chat.sequence.usage()).toMatchObject({
      tokensSeen: chat.seen,
      pairsKept: 4 * chat.seen,
      pairsEvicted: 0,
    });
    expect(simulation.pool.gpu.ledger.report().total).toBeLessThanOrEqual(60_000);
    simulation.configure(chat, 33);
    simulation.check();
    simulation.append(chat, 50);
    simulation.check();
  });

  it("hold every pair of the layers kept whole, and the budget of the others", () => {
    const simulation = new Simulation();
    const chat = simulation.open(40);
    const counts = () =>
      [0, 1].map((layer) => wordsOf(simulation.pool.tables)[simulation.pool.rowWord(0, layer, 0)]);
    simulation.configure(chat, 40, 1);
    expect(chat.sequence.compressed).toEqual([1]);
    for (let n = 0; n < 30; n += 1) simulation.append(chat, 7);
    simulation.check();
    expect(counts()).toEqual([210, 40]);
    expect(chat.sequence.usage()).toMatchObject({ pairsKept: 500, pairsEvicted: 2 * 170 });
    // Pages are those in use: 7 of each head kept whole, 2 of the others.
    expect(simulation.pool.allocators.map(({ used }) => used)).toEqual([14, 4]);
    simulation.configure(chat, 40, 2);
    simulation.append(chat, 20);
    expect(counts()).toEqual([230, 60]);
    expect(chat.sequence.evictsWith(1000)).toBe(false);
    simulation.configure(chat, 50, 0);
    expect(counts()).toEqual([50, 50]);
    expect(simulation.pool.allocators.map(({ capacity }) => capacity)).toEqual([4, 4]);
    simulation.check();
  });

  it("grow a slab no further than its chats may come to need", () => {
    const simulation = new Simulation();
    const chat = simulation.open(96);
    for (let n = 0; n < 100; n += 1) simulation.append(chat, 3);
    expect(simulation.pool.allocators.map(({ capacity }) => capacity)).toEqual([6, 6]);
    const { generation } = simulation.pool;
    for (let n = 0; n < 100; n += 1) simulation.append(chat, 1);
    expect(simulation.pool.generation).toBe(generation);
  });
});
