import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ProgressBar } from "../../../src/node/progress-bar.ts";

describe("progress in a log", () => {
  let lines: string[];
  beforeEach(() => {
    lines = [];
    vi.useFakeTimers();
    const write = (text: string): void => void lines.push(text.trimEnd());
    vi.stubGlobal("process", { stderr: { write, isTTY: false } });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });

  it("begins at once, and is silent for no longer than half a minute of steps", () => {
    const bar = new ProgressBar();
    // 6,144 tokens at 3.2 a second, in steps of 16.
    for (let done = 16; done <= 6144; done += 16) {
      bar.update("ppl", done, 6144);
      vi.advanceTimersByTime(5000);
    }
    bar.end();
    expect(lines[0]).toBe("ppl 0% 16 / 6144");
    expect(lines.at(-1)).toBe("ppl 100% 6144 / 6144");
    expect(lines[20]).toMatch(/^ppl \d+% \d+ \/ 6144, \d+ min left$/);
    // 1,920 s.
    expect(lines.length).toBeGreaterThanOrEqual(60);
    expect(lines.length).toBeLessThanOrEqual(80);
  });

  it("stays short where all goes fast", () => {
    const bar = new ProgressBar();
    for (let done = 0; done <= 1000; done += 1) bar.update("verify", done, 1000);
    bar.end();
    expect(lines).toHaveLength(6);
  });
});
