import type { Browser, Page } from "playwright";
import { expect } from "vitest";

/** What apps/shared/run.js leaves in `result`. */
export interface Answers {
  first: string;
  second: string;
  held: { useful: boolean; size: string };
  cached: number;
  policy: string;
  notices: string[];
  budgets: (number | "full")[];
  loads: number;
}

/** Opens a page, waits for its result, and expects a console without a warning or an error. */
export async function visit(browser: Browser, url: string): Promise<Answers> {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const problems = watch(page);
    await page.goto(url);
    const result = await resultOf(page);
    expect(problems).toEqual([]);
    return result;
  } finally {
    await context.close();
  }
}

export function watch(page: Page): string[] {
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(`thrown: ${error.message}`));
  page.on("console", (message) => {
    if (["warning", "error"].includes(message.type()))
      problems.push(`${message.type()}: ${message.text()} (${message.location().url})`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
  });
  return problems;
}

export async function resultOf(page: Page): Promise<Answers> {
  await page.waitForFunction(() => "result" in globalThis, undefined, { timeout: 300_000 });
  return page.evaluate(() => (globalThis as unknown as { result: Promise<Answers> }).result);
}

/** What each set-up must do: load, answer, move the budget, take a second turn out of the cache; nothing to say about it. */
export function expectAnswers(answers: Answers): void {
  expect(answers).not.toHaveProperty("failed");
  expect(answers.first).not.toBe("");
  expect(answers.second).not.toBe("");
  expect(answers.budgets).toEqual([512, 128]);
  expect(answers.held).toEqual({
    useful: expect.any(Boolean),
    size: expect.stringMatching(/^(small|large)$/),
  });
  expect(answers.cached).toBeGreaterThan(20);
  expect(answers.notices).toEqual([]);
  expect(answers.policy).toBe("winnow");
}
