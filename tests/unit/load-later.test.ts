import { expect, it } from "vitest";
import { loadLater } from "../../src/errors.ts";

it("gives what was loaded", async () => {
  expect(await loadLater("tests", async () => 3)).toBe(3);
});

it("says what the code was for, and what to do, where it cannot be had", async () => {
  const cause = new TypeError("Failed to fetch dynamically imported module: http://localhost/a.js");
  await expect(loadLater("lanes", () => Promise.reject(cause))).rejects.toMatchObject({
    name: "WinnowError",
    code: "network",
    message: "the code for lanes could not be loaded",
    hint: expect.stringMatching(/reload the page/),
    cause,
  });
});
