import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { ownFilters } from "../../../src/api/own-filters.ts";
import { MODELS } from "../../../src/fetch/resolve/model-registry.ts";

const packaged = MODELS.filter(({ filters }) => typeof filters === "string");

it("every filter file that a registered model names is inside the package's code, byte for byte", async () => {
  expect(packaged.length).toBeGreaterThan(0);
  for (const { name, filters } of packaged) {
    const file = readFileSync(new URL(`../../../public/${filters}`, import.meta.url));
    expect(Buffer.from((await ownFilters(name))!).equals(file)).toBe(true);
  }
});

it("a model without a file in the package has none, whatever its name", async () => {
  for (const name of ["other", "constructor", "__proto__", ""])
    expect(await ownFilters(name)).toBeUndefined();
});
