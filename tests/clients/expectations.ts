import { expect } from "vitest";
import type { askByAiSdk, askByPromptApi } from "./scenarios.ts";

/** What the scenarios give in every browser. */
export function expectAiSdk(result: Awaited<ReturnType<typeof askByAiSdk>>): void {
  expect(result).toMatchObject({
    supported: true,
    before: "downloadable",
    after: "available",
    progress: [expect.any(Number), 1],
    object: { name: expect.stringMatching(/^(Ann|Bo)$/) },
    last: "abort",
  });
  expect(result.text).not.toBe("");
  expect(result.asked).toBeGreaterThan(64);
  // After evictions too, the next turn reads what is new alone.
  expect(result.cached).toBeGreaterThan(result.asked - 1);
}

export function expectPromptApi(result: Awaited<ReturnType<typeof askByPromptApi>>): void {
  expect(result).toMatchObject({
    before: expect.stringMatching(/^(downloadable|available)$/),
    loaded: [0, 1],
    held: { full: expect.any(Boolean) },
    prefixed: { full: expect.any(Boolean) },
    inOrder: ["one", "two"],
    aborted: "AbortError true",
    destroyed: "InvalidStateError true",
    system: "TypeError false",
    window: Number.POSITIVE_INFINITY,
  });
  expect(result.begun).toBeGreaterThan(0);
}

export function expectInWorker(result: unknown): void {
  expect(result).toEqual({
    fromImport: "function",
    answer: expect.stringMatching(/^(yes|no)$/),
    usage: expect.any(Number),
  });
}
