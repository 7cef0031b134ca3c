import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BlockAllocator } from "../../../src/cache/block-allocator.ts";

const internal = expect.objectContaining({ code: "internal" });
const OPERATIONS = ["allocate", "retain", "release", "grow"] as const;

describe("BlockAllocator", () => {
  it("hands out the lowest free page and takes it back", () => {
    const pages = new BlockAllocator(4);
    expect([pages.allocate(), pages.allocate(), pages.allocate()]).toEqual([0, 1, 2]);
    pages.release(1);
    pages.release(0);
    expect(pages).toMatchObject({ capacity: 4, free: 3, used: 1 });
    expect([pages.allocate(), pages.allocate(), pages.allocate()]).toEqual([0, 1, 3]);
    expect(pages.free).toBe(0);
  });

  it("has no page to give beyond its capacity until it grows", () => {
    const pages = new BlockAllocator(1);
    pages.allocate();
    expect(() => pages.allocate()).toThrow(internal);
    pages.grow(3);
    expect([pages.allocate(), pages.allocate()]).toEqual([1, 2]);
    pages.grow(2);
    expect(pages.capacity).toBe(3);
  });

  it("frees a page when its last owner lets go", () => {
    const pages = new BlockAllocator(2);
    const page = pages.allocate();
    pages.retain(page);
    pages.release(page);
    expect(pages).toMatchObject({ used: 1 });
    expect(pages.referencesOf(page)).toBe(1);
    pages.release(page);
    expect(pages).toMatchObject({ used: 0, free: 2 });
  });

  it.each([0, 1, 2, -1, 7, 0.5, Number.NaN])(
    "refuses to free or share page %s, which nobody owns",
    (page) => {
      const pages = new BlockAllocator(2);
      pages.release(pages.allocate());
      expect(() => pages.release(page)).toThrow(internal);
      expect(() => pages.retain(page)).toThrow(internal);
      pages.checkIntegrity([]);
    },
  );

  it("sees a leak, a double owner and a foreign page", () => {
    const pages = new BlockAllocator(3);
    const page = pages.allocate();
    pages.checkIntegrity([page]);
    expect(() => pages.checkIntegrity([])).toThrow(internal);
    expect(() => pages.checkIntegrity([page, page])).toThrow(internal);
    expect(() => pages.checkIntegrity([page, 2])).toThrow(internal);
    expect(() => pages.checkIntegrity([page, 3])).toThrow(internal);
  });

  it("keeps its books through any sequence of operations", () => {
    const operation = fc.tuple(fc.constantFrom(...OPERATIONS), fc.nat(40));
    fc.assert(
      fc.property(fc.nat(12), fc.array(operation, { maxLength: 120 }), (capacity, operations) => {
        const pages = new BlockAllocator(capacity);
        const owned: number[] = []; // a page once an owner: the model of the books
        for (const [name, n] of operations) {
          const at = owned.length > 0 ? n % owned.length : -1;
          if (name === "grow") pages.grow(n);
          else if (name === "allocate") {
            const distinct = new Set(owned);
            if (distinct.size === pages.capacity) {
              expect(() => pages.allocate()).toThrow(internal);
            } else {
              const page = pages.allocate();
              expect(distinct.has(page)).toBe(false);
              for (let lower = 0; lower < page; lower += 1) expect(distinct.has(lower)).toBe(true);
              owned.push(page);
            }
          } else if (at < 0) expect(() => pages[name](n)).toThrow(internal);
          else if (name === "retain") {
            pages.retain(owned[at]!);
            owned.push(owned[at]!);
          } else pages.release(owned.splice(at, 1)[0]!);
          pages.checkIntegrity(owned);
          expect(pages.used).toBe(new Set(owned).size);
          expect(pages.used + pages.free).toBe(pages.capacity);
        }
      }),
      { numRuns: 200 },
    );
  });
});
